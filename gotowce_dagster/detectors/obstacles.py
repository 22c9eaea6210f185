"""Why a detector cannot run on this machine. Imports no model, so that the answer comes at once."""

from collections.abc import Callable, Mapping

from gotowce_dagster.config.detector_settings import (
    Common,
    DetectorSettings,
    MoondreamSettings,
    YoloeSettings,
    YoloSettings,
    YoloWorldSettings,
)
from gotowce_dagster.core import extras, weights
from gotowce_dagster.core.trust import untrusted

_WHOLE_MODELS = YoloSettings | YoloWorldSettings | YoloeSettings | MoondreamSettings
"""Kinds whose weights can contain code: the user must trust them (core/trust.py)."""


def missing_extras(known: Mapping[str, DetectorSettings]) -> list[str]:
    """One sentence for each detector whose optional dependency is not installed."""
    lacking = {name: extras.obstacle(settings.extra) for name, settings in known.items() if settings.extra}
    return [f"{name} (kind {known[name].kind}) {reason}" for name, reason in lacking.items() if reason]


def obstacle(settings: Common, responds: Callable[[str], bool] | None = None) -> str | None:
    """Why a detector cannot run on this machine and how to fix it, without loading it; None if it can.

    Args:
        responds: whether the official address of weights responds; default: send it a request.
    """
    lacking = extras.obstacle(settings.extra) if settings.extra else None
    if reason := lacking or settings.obstacle():
        return reason
    around = settings.input.crop.around if settings.input and settings.input.crop else None
    if around and (reason := obstacle(around, responds)):
        return f"{around.kind}, the detector of its crops: {reason}"
    absent = [name for name in settings.needs if not weights.find(name)]
    if problems := [problem for name in absent for problem in weights.faults(name)]:
        return f"{'; '.join(problems)}; remove the file to download it again"
    searched = " and ".join(map(str, weights.folders()))
    missing = [name for name in absent if not (responds or weights.reachable)(name)]
    if missing:
        urls = [w.url for name in missing if (w := weights.WEIGHTS.get(name)) and w.url]
        them = "it" if len(missing) == 1 else "them"
        fetch = f"download {them} from {' and '.join(urls)}, " if urls else ""
        return (
            f"{' and '.join(missing)} not in {searched}, and not downloadable; {fetch}put {them} into a "
            f"folder and set GOTOWCE_WEIGHTS_DIR to that folder"
        )
    if isinstance(settings, _WHOLE_MODELS) and (file := weights.find(settings.weights)):
        return untrusted(file)
    return None
