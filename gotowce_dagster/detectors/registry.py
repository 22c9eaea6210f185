"""The detectors by kind. A new one is one file, its settings in settings.py, and one case here."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from gotowce_dagster import weights
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.bracket import Bracket
from gotowce_dagster.detectors.profile import Profile
from gotowce_dagster.detectors.settings import BracketSettings, Common, DetectorSettings
from gotowce_dagster.errors import InputError

KINDS = ("bracket", "yolo", "yolo_world", "zero_shot", "kosmos2", "moondream", "hosted")


def settings_of(name: str, known: Mapping[str, DetectorSettings]) -> DetectorSettings:
    """What ``known`` tells of a detector, or a kind as it is by default.

    Raises:
        InputError: neither; the message lists those there are.
    """
    if name in known:
        return known[name]
    if name not in KINDS:
        told = ", ".join(dict.fromkeys((*known, *KINDS)))
        raise InputError(f"no detector named {name!r}; expected one of {told}")
    return TypeAdapter(DetectorSettings).validate_python({"kind": name})


def build_detector(name: str, settings: DetectorSettings, profile: Profile) -> Detector:
    """A detector, loaded and ready to run.

    Args:
        name: what params.yaml calls it; kept with every detection.
        profile: of the video.

    Raises:
        MissingWeightsError: its weights are neither here nor reachable.
    """
    match settings:
        case BracketSettings():
            return Bracket(profile, settings.min_confidence, name)
    raise InputError(f"{name}: there is no detector of the kind {settings.kind}")


def build_detectors(known: Mapping[str, DetectorSettings], profile: Profile) -> list[Detector]:
    """All of them; see build_detector."""
    return [build_detector(name, settings, profile) for name, settings in known.items()]


def obstacle(settings: Common) -> str | None:
    """Why a detector cannot run here and what to do about it, found without loading it; None if it can."""
    looked = " and ".join(map(str, weights.folders()))
    missing = [name for name in settings.needs if not weights.find(name) and not weights.reachable(name)]
    if missing:
        homes = [w.url for name in missing if (w := weights.WEIGHTS.get(name)) and w.url]
        fetch = f"fetch it from {' and '.join(homes)}, " if homes else ""
        return (
            f"{' and '.join(missing)} not in {looked}, nor reachable; {fetch}put it into a folder and set "
            f"GOTOWCE_WEIGHTS_DIR to that folder"
        )
    return None
