"""The propagators by name. A new one is one file and one line here."""

from collections.abc import Callable

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.propagation.base import Propagator
from gotowce_dagster.propagation.edgetam import EdgeTamPropagator
from gotowce_dagster.propagation.image_track import ImageTrack
from gotowce_dagster.propagation.sam2 import Sam2Propagator

PROPAGATORS: dict[str, Callable[[str, MasksParams], Propagator]] = {
    "sam2": Sam2Propagator,
    "edgetam": EdgeTamPropagator,
    "sam2_image_track": ImageTrack,
}


def build_propagator(engine: str, params: MasksParams) -> Propagator:
    """A propagator, ready to run; its model is loaded once a process.

    Args:
        engine: NAME:WEIGHTS, as in params.yaml and data/engines.yaml.

    Raises:
        InputError: there is no such propagator, or it does not know these weights.
        MissingWeightsError: its weights are neither here nor reachable, or not for videos.
    """
    name, _, weights = engine.partition(":")
    if name not in PROPAGATORS:
        raise InputError(f"no propagator named {name!r}; known: {', '.join(PROPAGATORS)}")
    return PROPAGATORS[name](weights, params)
