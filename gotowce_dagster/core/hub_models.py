"""Models in folders as the hub has them, loaded by ``transformers`` from this machine and nowhere else."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.core.fetch import no_hub
from gotowce_dagster.core.trust import restrict_unpickling
from gotowce_dagster.core.weights import require

DETECTORS: Mapping[str, tuple[str, str]] = {
    "rf_detr": ("RfDetrForObjectDetection", "RfDetrImageProcessor"),
    "d_fine": ("DFineForObjectDetection", "RTDetrImageProcessor"),
}
"""Detectors of fixed classes by ``model_type`` in config.json: their classes in ``transformers``. Folders of
RF-DETR have named the processor of DETR, which reads other scores."""


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
    """Load a model and its processor.

    Args:
        model, processor: names of classes of ``transformers``.
        weights: name of a folder in weights.py.

    Raises:
        MissingWeightsError: the weights are missing and cannot be downloaded, damaged, or of another model.
    """
    built, prepare = load_folder(model, processor, require(weights))
    return built.to(device).eval(), prepare


def load_folder(model: str, processor: str, folder: Path, **settings: Any) -> tuple[Any, Any]:
    """Load a model and its processor from a folder.

    Args:
        model, processor: names of classes of ``transformers``.
        settings: further arguments of the model's ``from_pretrained``.

    Raises:
        MissingWeightsError: the weights are damaged, or of another model.
    """
    keep_offline()
    import transformers

    with damage(folder), no_hub():
        prepare = getattr(transformers, processor).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return load_model(model, folder, **settings), prepare


def load_model(model: str, folder: Path, **settings: Any) -> Any:
    """Load a model without a processor from a folder; arguments and errors are those of load_folder."""
    keep_offline()
    import transformers

    with damage(folder), no_hub():
        built, loading = getattr(transformers, model).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, **settings
        )
    if lacking := loading["missing_keys"]:
        raise MissingWeightsError(
            f"{folder}: lacks {len(lacking)} tensors, as {min(lacking)}; fetch it again"
        )
    return built


@contextmanager
def damage(folder: Path) -> Generator[None]:
    """Report what goes wrong inside as damaged weights."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, UnpicklingError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(
            f"{folder}: damaged, or weights of something else ({reason}); fetch it again"
        ) from None
