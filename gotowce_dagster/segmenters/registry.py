"""Segmenters by name. A new segmenter is one module and one line here."""

from collections.abc import Callable

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.segmenters import edgetam_model, mobile_sam, sam2
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.edgetam import EdgeTam
from gotowce_dagster.segmenters.grabcut import GrabCut
from gotowce_dagster.segmenters.mobile_sam import MobileSam
from gotowce_dagster.segmenters.sam2 import Sam2

SEGMENTERS: dict[str, Callable[[str, MasksParams], Segmenter]] = {
    "sam2": Sam2,
    "edgetam": EdgeTam,
    "mobile_sam": MobileSam,
    "grabcut": GrabCut,
}


def build_segmenter(engine: str, params: MasksParams) -> Segmenter:
    """Build a segmenter that is ready to run.

    Args:
        engine: NAME or NAME:WEIGHTS, as in params.yaml and data/engines.yaml.

    Raises:
        InputError: no segmenter has this name, or it does not support these weights.
        MissingWeightsError: its weights are not on this machine and cannot be fetched.
    """
    spec = EngineSpec.parse(engine)
    if spec.name not in SEGMENTERS:
        raise InputError(f"no segmenter named {spec.name!r}; known: {', '.join(SEGMENTERS)}")
    return SEGMENTERS[spec.name](spec.weights, params)


def forget_models() -> None:
    """Drop the models that a process keeps loaded for its next segmenter; that one loads its own again."""
    for load in (sam2.predictor_of, mobile_sam.predictor_of, edgetam_model.model):
        load.cache_clear()
