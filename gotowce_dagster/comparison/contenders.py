"""What can be compared: detectors and segmenters by name, and of each whether it can run here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from gotowce_dagster.config import engines
from gotowce_dagster.config.detector_settings import DetectorSettings, Online
from gotowce_dagster.config.params import ComparisonParams, MasksParams
from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.detectors import registry

ALL = "all"
Against = Literal["designator", "object"]


@dataclass(frozen=True)
class Contender:
    """Something that is compared."""

    name: str
    what: Literal["detector", "segmenter"]
    maker: str
    settings: dict[str, Any]
    against: Against
    by_profile: bool = False
    obstacle: str | None = None
    """Why it cannot run here, if that is known without trying."""


def detectors(
    names: Sequence[str], known: Mapping[str, DetectorSettings], params: ComparisonParams, send: bool = False
) -> list[Contender]:
    """Detectors by name.

    Args:
        names: of ``known``, or a kind as it is by default, or KIND:WEIGHTS; or ``all``: everything known, and
            every kind that nothing known is of, whether it can run here or not.
        send: let those that ask a server do so.

    Raises:
        InputError: there is no such detector.
    """
    if list(names) != [ALL]:
        return [_named(name, known, params, send) for name in names]
    kinds = {settings.kind for settings in known.values()}
    rest = [kind for kind in registry.KINDS if kind not in kinds]
    return [_named_or_not(name, known, params, send) for name in (*known, *rest)]


def _named(
    name: str, known: Mapping[str, DetectorSettings], params: ComparisonParams, send: bool
) -> Contender:
    kind, _, file = name.partition(":")
    if file and name not in known and kind in registry.KINDS:
        try:
            settings = TypeAdapter(DetectorSettings).validate_python({"kind": kind, "weights": file})
        except ValidationError as error:
            lacks = in_words(error, {"kind": kind, "weights": file})
            raise InputError(f"{name}: {lacks}; name such a detector in params.yaml") from None
    else:
        settings = registry.settings_of(name, known)
    if send and isinstance(settings, Online):
        settings = settings.model_copy(update={"send": True})
    return detector(name, settings, _against(name, settings.kind, params))


def _named_or_not(
    name: str, known: Mapping[str, DetectorSettings], params: ComparisonParams, send: bool
) -> Contender:
    """As _named; a kind that cannot be asked without being told more has a row that says so."""
    try:
        return _named(name, known, params, send)
    except InputError as error:
        return Contender(name, "detector", "", {}, _against(name, name, params), obstacle=str(error))


def _against(name: str, kind: str, params: ComparisonParams) -> Against:
    return params.truth_of.get(name, params.truth_of.get(kind, params.truth))


def detector(name: str, settings: DetectorSettings, against: Against) -> Contender:
    """A detector as a contender; weights that are reachable are fetched now, not while time is taken."""
    obstacle = registry.obstacle(settings) or _fetch(settings.needs)
    told = settings.model_dump(mode="json")
    maker = "gotowce_dagster.comparison.subjects:detector"
    return Contender(name, "detector", maker, told, against, _needs_profile(told), obstacle)


def segmenter(engine: str, params: MasksParams) -> Contender:
    """A segmenter as a contender: the boxes around its masks are held against the objects."""
    needed = engines.weights_of(engine)
    obstacle = (
        engines.unknown("masks", engine) or engines.obstacle(engine) or _fetch([needed] if needed else [])
    )
    told = params.model_dump(mode="json")
    maker = "gotowce_dagster.comparison.subjects:segmenter"
    return Contender(engine, "segmenter", maker, told, "object", obstacle=obstacle)


def _fetch(names: Sequence[str]) -> str | None:
    """Fetch weights that are not here yet; why that failed, if it did."""
    try:
        for name in names:
            if name in weights.WEIGHTS:
                weights.require(name)
    except MissingWeightsError as error:
        return str(error)
    return None


def _needs_profile(settings: Mapping[str, Any]) -> bool:
    """Whether a detector looks at the profile, itself or through one that it looks around."""
    seen = settings.get("input") or {}
    around = (seen.get("crop") or {}).get("around")
    return (
        settings["kind"] == "bracket"
        or seen.get("only_colours") == "profile"
        or (around is not None and _needs_profile(around))
    )
