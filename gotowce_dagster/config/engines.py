"""Selection of the engine that each stage uses on this machine.

params.yaml lists engines in order of preference; `gotowce sync` writes the first one that can run here to
data/engines.yaml. The choice stays until --refresh, so that a different engine is always a change DVC tracks.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.params import Params, TrainingParams
from gotowce_dagster.core import extras, weights
from gotowce_dagster.core.device import half_precision
from gotowce_dagster.core.errors import InputError, MissingExtraError, MissingWeightsError
from gotowce_dagster.core.trust import untrusted
from gotowce_dagster.core.yaml_files import read_texts, write_yaml

UNUSED = "unused"
"""The engine of a part that params.yaml does not use."""

ENGINES = {
    "masks": ("sam2", "edgetam", "mobile_sam", "grabcut"),
    "propagation": ("sam2", "edgetam", "sam3", "sam2_image_track"),
}
"""The engines by name; segmenters/registry.py and propagation/registry.py build them."""

_DEFAULTS = (
    "sam2:sam2.1_hiera_tiny.pt",
    "edgetam:EdgeTAM-hf",
    "sam3:facebook/sam3",
    "sam2_image_track:sam2_hiera_tiny_image.pt",
    "mobile_sam:mobile_sam.pt",
    "grabcut",
)
"""The default weights of each engine that params.yaml does not list."""

_FLOAT32_ONLY = ("mobile_sam", "grabcut")
"""Engines that always compute in float32."""

_EXTRAS = {"edgetam": "edgetam"}
"""The optional dependency of an engine; see core/extras.py."""

_HEADER = (
    "# Written by `gotowce sync`: the engine of each stage. Choose again with `gotowce sync --refresh`.\n"
)


def preferences(params: Params) -> dict[str, list[str]]:
    """The parts with a choice of engines, and their engines in order of preference."""
    is_video = params.masks.mode == "video"
    return {
        "masks": params.masks.segmenter,
        "propagation": params.masks.propagation.engine if is_video else [UNUSED],
        "finetuned_model": _of_training(params.finetuned_model),
    }


def _of_training(params: TrainingParams) -> list[str]:
    """The weights of the engine yolo; for another engine ENGINE:WEIGHTS."""
    prefix = "" if params.engine == "yolo" else f"{params.engine}:"
    return [f"{prefix}{name}" for name in params.weights]


def every_engine(params: Params) -> dict[str, list[str]]:
    """All engines of each part: those that params.yaml lists, used or not, then the other registered ones."""
    named = preferences(params) | {"propagation": params.masks.propagation.engine}
    others = {EngineSpec.parse(engine).name: engine for engine in _DEFAULTS}
    for stage, registry in ENGINES.items():
        names = {EngineSpec.parse(engine).name for engine in named[stage]}
        missing = [engine for name, engine in others.items() if name in registry and name not in names]
        named[stage] = named[stage] + missing
    return named


def unknown(stage: str, engine: str) -> str | None:
    """An error message if a stage has no such engine, listing its engines; None if it has."""
    registry = ENGINES.get(stage)
    if registry is None or engine == UNUSED or EngineSpec.parse(engine).name in registry:
        return None
    return f"there is no engine {EngineSpec.parse(engine).name!r}; known: {', '.join(registry)}"


def precision(engine: str, device: str) -> str:
    """The precision of an engine's inference: bfloat16 or float32."""
    is_half = half_precision(device) and not any(name in engine for name in _FLOAT32_ONLY)
    return "bfloat16" if is_half else "float32"


def engines_of(stage: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """The engines that a stage uses, by part, without unused ones."""
    names = [stage, "propagation"] if stage == "masks" else [stage]
    return {name: chosen[name] for name in names if chosen.get(name, UNUSED) != UNUSED}


def weights_of(engine: str) -> str | None:
    """The weights of an engine ``NAME:WEIGHTS`` or of a bare ``FILE.pt``; None if it needs none."""
    return EngineSpec.parse(engine).weights or None


def obstacle(engine: str, responds: Callable[[str], bool] | None = None) -> str | None:
    """The reason why an engine cannot run on this machine, or None if it can; ``responds`` as in weights."""
    if reason := missing_extra(engine):
        return reason
    name = weights_of(engine)
    if name is None:
        return None
    # Other engines load tensors into an architecture of this package and need no trust.
    file = weights.find(name) if engine == name else None
    return (untrusted(file) if file else None) or weights.obstacle(name, responds)


def extra_of(engine: str) -> str | None:
    """The optional dependency of an engine; see core/extras.py."""
    return _EXTRAS.get(EngineSpec.parse(engine).name)


def missing_extra(engine: str) -> str | None:
    """The reason why an engine lacks an optional dependency, or None."""
    extra = extra_of(engine)
    return extras.obstacle(extra) if extra else None


def choose(
    params: Params, kept: dict[str, str], obstacle: Callable[[str], str | None] = obstacle
) -> dict[str, str]:
    """Choose the engine of each part: the kept one if params.yaml still lists it, else the first that can
    run.

    Raises:
        InputError: params.yaml lists an engine that does not exist.
        MissingWeightsError: none of a part's engines can run on this machine.
    """
    preferred = preferences(params)
    unused = {stage: UNUSED for stage, engines in preferred.items() if engines == [UNUSED]}
    kept = {stage: engine for stage, engine in kept.items() if engine in preferred.get(stage, ())} | unused
    return kept | first_of({s: engines for s, engines in preferred.items() if s not in kept}, obstacle)


def first_of(
    preferences: Mapping[str, Sequence[str]], obstacle: Callable[[str], str | None] = obstacle
) -> dict[str, str]:
    """Select the first engine of each list that can run on this machine.

    Raises:
        InputError: a list has an engine that does not exist.
        MissingExtraError: no engine of a list can run, one because it needs an optional dependency.
        MissingWeightsError: no engine of a list can run.
    """
    chosen = {}
    for stage, engines in preferences.items():
        reasons: dict[str, str] = {}
        for engine in engines:
            if problem := unknown(stage, engine):
                raise InputError(f"{stage}: {problem}")
            if (reason := obstacle(engine)) is None:
                chosen[stage] = engine
                break
            reasons[engine] = reason
        else:
            details = "; ".join(f"{engine}: {reason}" for engine, reason in reasons.items())
            kind = MissingExtraError if any(map(missing_extra, engines)) else MissingWeightsError
            raise kind(f"{stage}: none of its engines can run here: {details}")
    return chosen


def write_engines(path: Path, params: Params, refresh: bool = False) -> dict[str, str]:
    """Write data/engines.yaml, keeping earlier choices unless ``refresh``, and return the choices."""
    kept = _kept(path) if path.exists() and not refresh else {}
    chosen = choose(params, kept)
    if chosen != kept:
        write_yaml(path, chosen, _HEADER)
    return chosen


def choose_newly_used(path: Path, params: Params) -> None:
    """Choose the engine of each part that params.yaml has begun to use since data/engines.yaml was written.

    Raises:
        MissingWeightsError: none of a part's engines can run on this machine.
    """
    kept = _kept(path) if path.exists() else {}
    used = {part for part, engines in preferences(params).items() if engines != [UNUSED]}
    if any(kept.get(part) == UNUSED for part in used):
        write_engines(path, params)


def _kept(path: Path) -> dict[str, str]:
    try:
        kept = read_texts(path, "")
    except InputError as error:
        raise InputError(f"{error}; choose again with `gotowce sync --refresh`") from None
    if not isinstance(kept, dict):
        raise InputError(f"{path}: expected a mapping stage: engine; run `gotowce sync --refresh`")
    return kept
