"""The detectors by kind. A new one needs a file, its settings in config/, and a line here."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gotowce_dagster.config.detector_settings import (
    KINDS,
    BracketSettings,
    DetectorSettings,
    HostedSettings,
    MoondreamServerSettings,
)
from gotowce_dagster.core import extras
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.inputs import InPieces
from gotowce_dagster.detectors.local.bracket import Bracket
from gotowce_dagster.detectors.local.florence2 import Florence2
from gotowce_dagster.detectors.local.kosmos2 import Kosmos2
from gotowce_dagster.detectors.local.moondream import Moondream
from gotowce_dagster.detectors.local.owlv2 import Owlv2
from gotowce_dagster.detectors.local.rfdetr import RfDetr
from gotowce_dagster.detectors.local.sam3 import Sam3
from gotowce_dagster.detectors.local.yolo import Yolo
from gotowce_dagster.detectors.local.yolo_world import YoloWorld
from gotowce_dagster.detectors.local.yoloe import Yoloe
from gotowce_dagster.detectors.local.zero_shot import ZeroShot


def _moondream_server(name: str, settings: MoondreamServerSettings) -> Detector:
    from gotowce_dagster.detectors.hosted.moondream_server import MoondreamServer

    return MoondreamServer(name, settings)


def _hosted(name: str, settings: HostedSettings) -> Detector:
    from gotowce_dagster.detectors.hosted.vision_llm import Hosted

    return Hosted(name, settings)


_MODELS: dict[str, Callable[[str, Any], Detector]] = {
    "yolo": Yolo,
    "yolo_world": YoloWorld,
    "rfdetr": RfDetr,
    "zero_shot": ZeroShot,
    "sam3": Sam3,
    "owlv2": Owlv2,
    "yoloe": Yoloe,
    "florence2": Florence2,
    "kosmos2": Kosmos2,
    "moondream": Moondream,
    "moondream_server": _moondream_server,
    "hosted": _hosted,
}


def settings_of(name: str, known: Mapping[str, DetectorSettings]) -> DetectorSettings:
    """The settings of a detector in ``known``, or the default settings of a kind.

    Raises:
        InputError: no such detector or kind, or the kind has settings without a default.
    """
    if name in known:
        return known[name]
    if name not in KINDS:
        names = ", ".join(dict.fromkeys((*known, *KINDS)))
        raise InputError(f"no detector named {name!r}; expected one of {names}")
    try:
        return TypeAdapter(DetectorSettings).validate_python({"kind": name})
    except ValidationError as error:
        lacking = ", ".join(str(problem["loc"][-1]) for problem in error.errors())
        raise InputError(
            f"{name} has no default for {lacking}; add such a detector to params.yaml as shown in "
            "docs/detectors.md"
        ) from None


def build_detector(name: str, settings: DetectorSettings, profile: Profile) -> Detector:
    """Load a detector.

    Args:
        name: its name in params.yaml, recorded with every detection.
        profile: the video's profile.

    Raises:
        MissingExtraError: an optional dependency of its kind is not installed.
        MissingWeightsError: its weights are neither on this machine nor downloadable.
    """
    detector = _bare(name, settings, profile)
    if settings.input is None:
        return detector
    colours = [colour for designator in profile.designators for colour in designator.colours]
    around = settings.input.crop.around if settings.input.crop else None
    finder = build_detector(name, around, profile) if around else None
    return InPieces(detector, settings.input, colours, finder)


def _bare(name: str, settings: DetectorSettings, profile: Profile) -> Detector:
    if settings.extra:
        extras.require(settings.extra, f"{name} (kind {settings.kind})")
    if isinstance(settings, BracketSettings):
        return Bracket(profile, settings.min_confidence, name)
    return _MODELS[settings.kind](name, settings)


def build_detectors(known: Mapping[str, DetectorSettings], profile: Profile) -> list[Detector]:
    """Load several detectors; see build_detector."""
    return [build_detector(name, settings, profile) for name, settings in known.items()]
