"""Models in folders as the hub has them, loaded by ``transformers`` from this machine and nowhere else."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gotowce_dagster.config.detector_settings import Kosmos2Settings, ZeroShotSettings
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.core.fetch import no_hub
from gotowce_dagster.core.trust import restrict_unpickling
from gotowce_dagster.core.weights import require
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.phrases import Phrases


def keep_offline() -> None:
    """Call before ``transformers`` is imported: it would send events.

    HF_HUB_OFFLINE is the user's and decides about downloads; loading never asks the hub, see fetch.no_hub.
    """
    restrict_unpickling()
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()


def load(model: str, processor: str, weights: str, device: str) -> tuple[Any, Any]:
    """A model and what prepares its input.

    Args:
        model, processor: names of classes of ``transformers``.
        weights: name of a folder in weights.py.

    Raises:
        MissingWeightsError: the weights are neither here nor reachable, damaged, or of another model.
    """
    keep_offline()
    import transformers

    folder = require(weights)
    with damage(folder), no_hub():
        prepare = getattr(transformers, processor).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        built, told = getattr(transformers, model).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    if lacking := told["missing_keys"]:
        raise MissingWeightsError(
            f"{folder}: lacks {len(lacking)} tensors, as {min(lacking)}; fetch it again"
        )
    return built.to(device).eval(), prepare


class Prompted:
    """A model of ``transformers`` that is asked by phrases, loaded once.

    Args:
        model: name of its class in ``transformers``.

    Raises:
        MissingWeightsError: its weights are neither here nor reachable, or damaged.
    """

    version = "1"

    def __init__(self, name: str, settings: Kosmos2Settings | ZeroShotSettings, model: str) -> None:
        self.name = name
        self.weights = settings.needs
        self.cost = Cost()
        self._phrases = Phrases(settings.prompts)
        self._device = best_device()
        self._model, self._processor = load(model, "AutoProcessor", settings.weights, self._device)


@contextmanager
def damage(folder: Path) -> Generator[None]:
    """What goes wrong inside is told as damaged weights."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, UnpicklingError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(
            f"{folder}: damaged, or weights of something else ({reason}); fetch it again"
        ) from None
