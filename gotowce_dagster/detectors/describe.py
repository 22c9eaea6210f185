"""Models that describe images in words, with a cache of their responses."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gotowce_dagster.config.detector_settings import CaptionerSettings, DescriberSettings, Online
from gotowce_dagster.core import weights
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors import obstacles, registry
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache, image_hash, question_key
from gotowce_dagster.detectors.local.captioner import Captioner
from gotowce_dagster.detectors.local.florence2 import Florence2
from gotowce_dagster.detectors.local.kosmos2 import Kosmos2
from gotowce_dagster.detectors.local.moondream import Moondream


class Describer(Protocol):
    """Describes images."""

    name: str
    cost: Cost

    def describe(self, images: Sequence[np.ndarray]) -> Sequence[str | None]:
        """One text per RGB uint8 image (H, W, 3); None: no usable answer."""
        ...


class _Captions:
    """The captions of Kosmos-2, without its boxes."""

    def __init__(self, model: Kosmos2) -> None:
        self.name, self.cost, self._model = model.name, model.cost, model

    def describe(self, images: Sequence[np.ndarray]) -> Sequence[str | None]:
        return [description.caption for description in self._model.describe(images)]


class _OneByOne:
    """Moondream, which describes one image at a time."""

    def __init__(self, model: Moondream) -> None:
        self.name, self.cost, self._model = model.name, model.cost, model

    def describe(self, images: Sequence[np.ndarray]) -> Sequence[str | None]:
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> str | None:
        try:
            return self._model.describe(image)
        except ValueError:  # the response is malformed
            return None


class Remembered:
    """A describer that runs only on images that are not in its cache.

    Args:
        about: everything its responses depend on, except the image.
    """

    def __init__(self, describer: Describer, cache: AnswerCache, **about: object) -> None:
        self.name, self.cost = describer.name, describer.cost
        self._inside, self._cache, self._about = describer, cache, about

    def describe(self, images: Sequence[np.ndarray]) -> Sequence[str | None]:
        """See Describer. Images without a usable response are described again."""
        keys = [question_key(way="describe", image=image_hash(image), **self._about) for image in images]
        kept = {key: answer["text"] for key in keys if (answer := self._cache.get(key)) is not None}
        asked = {key: image for key, image in zip(keys, images, strict=True) if key not in kept}
        new = dict(zip(asked, self._inside.describe(list(asked.values())) if asked else (), strict=True))
        for key, text in new.items():
            if text is not None:
                self._cache.put(key, {"text": text})
        return [(kept | new)[key] for key in keys]


def obstacle(settings: DescriberSettings) -> str | None:
    """Why a describer cannot run on this machine and how to fix it; None if it can."""
    if isinstance(settings, CaptionerSettings):
        return weights.obstacle(settings.weights)
    return obstacles.obstacle(settings)


def build_describer(name: str, settings: DescriberSettings, cache: AnswerCache | None = None) -> Describer:
    """Load a describer with its cache of responses.

    Raises:
        MissingExtraError: an optional dependency of its kind is not installed.
        MissingWeightsError: its weights are missing and cannot be downloaded.
    """
    describer = _bare(name, settings)
    if isinstance(settings, Online):  # hosted models have a cache of their own
        return describer
    digests = [content_sha256(weights.require(needed)) for needed in settings.needs]
    return Remembered(
        describer, cache or AnswerCache(), settings=settings.model_dump(mode="json"), weights=digests
    )


def _bare(name: str, settings: DescriberSettings) -> Describer:
    if isinstance(settings, CaptionerSettings):
        return Captioner(name, settings)
    detector = registry.build_detector(name, settings, Profile(name="none"))
    if isinstance(detector, Kosmos2):
        return _Captions(detector)
    if isinstance(detector, Moondream):
        return _OneByOne(detector)
    if isinstance(detector, Florence2):
        return detector
    # These need an extra, which build_detector has required.
    from gotowce_dagster.detectors.hosted.moondream_server import MoondreamServer
    from gotowce_dagster.detectors.hosted.vision_llm import Hosted

    assert isinstance(detector, Hosted | MoondreamServer)
    return detector
