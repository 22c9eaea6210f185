"""Propagators by name. A new propagator is one module and one line here."""

from collections.abc import Callable

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.propagation.base import Propagator
from gotowce_dagster.propagation.edgetam import EdgeTamPropagator
from gotowce_dagster.propagation.image_track import ImageTrack
from gotowce_dagster.propagation.sam2 import Sam2Propagator
from gotowce_dagster.propagation.sam3 import Sam3Propagator

PROPAGATORS: dict[str, Callable[[str, MasksParams], Propagator]] = {
    "sam2": Sam2Propagator,
    "edgetam": EdgeTamPropagator,
    "sam3": Sam3Propagator,
    "sam2_image_track": ImageTrack,
}


def build_propagator(engine: str, params: MasksParams) -> Propagator:
    """Build a propagator that is ready to run; its model is loaded once per process.

    Args:
        engine: NAME:WEIGHTS, as in params.yaml and data/engines.yaml.

    Raises:
        InputError: no propagator has this name, or it does not support these weights.
        MissingWeightsError: its weights are not on this machine and cannot be fetched, or are not for videos.
    """
    spec = EngineSpec.parse(engine)
    if spec.name not in PROPAGATORS:
        raise InputError(f"no propagator named {spec.name!r}; known: {', '.join(PROPAGATORS)}")
    return PROPAGATORS[spec.name](spec.weights, params)
