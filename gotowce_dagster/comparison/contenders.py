"""Contenders of a comparison: detectors and segmenters by name, and whether each can run here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from gotowce_dagster.config import engines
from gotowce_dagster.config.detector_settings import DetectorSettings, Online
from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.params import MasksParams, MeasuringParams
from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.detectors import obstacles, registry

ALL = "all"
Against = Literal["designator", "object"]


@dataclass(frozen=True)
class Contender:
    """A detector or segmenter to compare."""

    name: str
    what: Literal["detector", "segmenter"]
    maker: str
    settings: dict[str, Any]
    against: Against
    by_profile: bool = False
    obstacle: str | None = None
    """Why it cannot run here, if known before it runs."""


def detectors(
    names: Sequence[str], known: Mapping[str, DetectorSettings], params: MeasuringParams, send: bool = False
) -> list[Contender]:
    """Build the contenders for detectors by name.

    Args:
        names: Names in ``known``, kinds with their defaults, or KIND:WEIGHTS; or ``all``: everything in
            ``known`` and every other kind, whether it can run here or not.
        known: The configured detectors by name.
        send: Allow hosted detectors to send images to their server.

    Raises:
        InputError: There is no such detector.
    """
    if list(names) != [ALL]:
        return [_named(name, known, params, send) for name in names]
    kinds = {settings.kind for settings in known.values()}
    other_kinds = [kind for kind in registry.KINDS if kind not in kinds]
    return [_named_or_not(name, known, params, send) for name in (*known, *other_kinds)]


def _named(
    name: str, known: Mapping[str, DetectorSettings], params: MeasuringParams, send: bool
) -> Contender:
    spec = EngineSpec.parse(name)
    if spec.weights and name not in known and spec.name in registry.KINDS:
        given = {"kind": spec.name, "weights": spec.weights}
        try:
            settings = TypeAdapter(DetectorSettings).validate_python(given)
        except ValidationError as error:
            problem = in_words(error, given)
            raise InputError(f"{name}: {problem}; configure this detector in params.yaml") from None
    else:
        settings = registry.settings_of(name, known)
    if send and isinstance(settings, Online):
        settings = settings.model_copy(update={"send": True})
    return detector(name, settings, target_of(name, settings.kind, params))


def _named_or_not(
    name: str, known: Mapping[str, DetectorSettings], params: MeasuringParams, send: bool
) -> Contender:
    """Like _named, but a kind that needs more settings becomes a contender with this obstacle."""
    try:
        return _named(name, known, params, send)
    except InputError as error:
        return Contender(name, "detector", "", {}, target_of(name, name, params), obstacle=str(error))


def target_of(name: str, kind: str, params: MeasuringParams) -> Against:
    """The ground truth that a detector of this name or kind is evaluated against."""
    return params.truth_of.get(name, params.truth_of.get(kind, params.truth))


def detector(name: str, settings: DetectorSettings, against: Against) -> Contender:
    """Build the contender of a detector; its weights are fetched now, not during measurement."""
    obstacle = obstacles.obstacle(settings) or _fetch(settings.needs)
    dumped = settings.model_dump(mode="json")
    maker = "gotowce_dagster.comparison.subjects:detector"
    return Contender(name, "detector", maker, dumped, against, _needs_profile(dumped), obstacle)


def segmenter(engine: str, params: MasksParams) -> Contender:
    """Build the contender of a segmenter: its masks' boxes are compared with ground-truth objects."""
    needed = engines.weights_of(engine)
    obstacle = (
        engines.unknown("masks", engine) or engines.obstacle(engine) or _fetch([needed] if needed else [])
    )
    dumped = params.model_dump(mode="json")
    maker = "gotowce_dagster.comparison.subjects:segmenter"
    return Contender(engine, "segmenter", maker, dumped, "object", obstacle=obstacle)


def _fetch(names: Sequence[str]) -> str | None:
    """Fetch missing weights; returns the error message, or None."""
    try:
        for name in names:
            if name in weights.WEIGHTS:
                weights.require(name)
    except MissingWeightsError as error:
        return str(error)
    return None


def _needs_profile(settings: Mapping[str, Any]) -> bool:
    """Whether a detector uses the profile, itself or through the detector that its crop follows."""
    input_settings = settings.get("input") or {}
    around = (input_settings.get("crop") or {}).get("around")
    return (
        settings["kind"] == "bracket"
        or input_settings.get("only_colours") == "profile"
        or input_settings.get("threshold") == "auto"
        or (around is not None and _needs_profile(around))
    )
