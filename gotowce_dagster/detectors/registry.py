"""The table of detectors."""

from collections.abc import Callable

from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.bracket import Bracket
from gotowce_dagster.detectors.profile import Profile
from gotowce_dagster.errors import InputError

DETECTORS: dict[str, Callable[[Profile], Detector]] = {
    Bracket.name: Bracket,
}


def build_detector(name: str, profile: Profile) -> Detector:
    """The detector of that name, set up for a profile.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if name not in DETECTORS:
        raise InputError(f"no detector named {name!r}; expected one of {', '.join(DETECTORS)}")
    return DETECTORS[name](profile)
