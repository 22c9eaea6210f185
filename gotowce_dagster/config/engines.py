"""Which engine each stage runs with on this machine.

params.yaml names engines in order of preference; `gotowce sync` writes the first that can run here to
data/engines.yaml. It stays until --refresh, so another engine is a change that DVC sees, never a surprise.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gotowce_dagster.config.params import Params
from gotowce_dagster.core import weights
from gotowce_dagster.core.device import half_precision
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.trust import untrusted
from gotowce_dagster.core.yaml_files import read_texts, write_yaml

UNUSED = "unused"
"""The engine of what params.yaml does not ask for."""

ENGINES = {
    "masks": ("sam2", "edgetam", "mobile_sam", "grabcut"),
    "propagation": ("sam2", "edgetam", "sam2_image_track"),
}
"""The engines by name; segmenters/registry.py and propagation/registry.py build them."""

_USUAL = (
    "sam2:sam2.1_hiera_tiny.pt",
    "edgetam:EdgeTAM-hf",
    "sam2_image_track:sam2_hiera_tiny_image.pt",
    "mobile_sam:mobile_sam.pt",
    "grabcut",
)
"""How each engine is asked about where params.yaml does not name it."""

_WHOLE = ("mobile_sam", "grabcut")
"""What computes in float32 everywhere."""

_HEADER = (
    "# Written by `gotowce sync`: what each stage runs with. Choose anew with `gotowce sync --refresh`.\n"
)


def preferences(params: Params) -> dict[str, list[str]]:
    """What there is a choice of, and the engines for it, best first."""
    carried = params.masks.mode == "video"
    return {
        "masks": params.masks.segmenter,
        "propagation": params.masks.propagation.engine if carried else [UNUSED],
        "finetuned_model": params.finetuned_model.weights,
    }


def every_engine(params: Params) -> dict[str, list[str]]:
    """What a stage could run with: what params.yaml lists, used or not, then the other engines there are."""
    named = preferences(params) | {"propagation": params.masks.propagation.engine}
    for stage, registry in ENGINES.items():
        names = {_name(engine) for engine in named[stage]}
        named[stage] = named[stage] + [e for e in _USUAL if _name(e) in registry and _name(e) not in names]
    return named


def unknown(stage: str, engine: str) -> str | None:
    """That there is no such engine for a stage, with those there are; None if there is."""
    registry = ENGINES.get(stage)
    if registry is None or engine == UNUSED or _name(engine) in registry:
        return None
    return f"there is no engine {_name(engine)!r}; known: {', '.join(registry)}"


def precision(engine: str, device: str) -> str:
    """The numbers that an engine's model computes with: bfloat16 or float32."""
    is_half = half_precision(device) and not any(name in engine for name in _WHOLE)
    return "bfloat16" if is_half else "float32"


def engines_of(stage: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """What a stage runs with, by what there was a choice of; nothing that is not used."""
    names = [stage, "propagation"] if stage == "masks" else [stage]
    return {name: chosen[name] for name in names if chosen.get(name, UNUSED) != UNUSED}


def weights_of(engine: str) -> str | None:
    """The weights an engine needs: of ``NAME:WEIGHTS`` or a bare ``FILE.pt``; None if it needs none."""
    _, told, name = engine.rpartition(":")
    return name if told or name.endswith((".pt", ".safetensors")) else None


def obstacle(engine: str) -> str | None:
    """Why an engine cannot run here, or None if it can."""
    name = weights_of(engine)
    if name is None:
        return None
    # Other engines read tensors into an architecture of ours: nobody need vouch for those.
    file = weights.find(name) if engine == name else None
    return (untrusted(file) if file else None) or weights.obstacle(name)


def choose(
    params: Params, kept: dict[str, str], obstacle: Callable[[str], str | None] = obstacle
) -> dict[str, str]:
    """The engine of each stage: the kept one while params.yaml still lists it, else the first that can run.

    Raises:
        InputError: params.yaml lists an engine that does not exist.
        MissingWeightsError: none of a stage's engines can run here.
    """
    known = preferences(params)
    unused = {stage: UNUSED for stage, engines in known.items() if engines == [UNUSED]}
    kept = {stage: engine for stage, engine in kept.items() if engine in known.get(stage, ())} | unused
    return kept | first_of({s: engines for s, engines in known.items() if s not in kept}, obstacle)


def first_of(
    preferences: Mapping[str, Sequence[str]], obstacle: Callable[[str], str | None] = obstacle
) -> dict[str, str]:
    """The first engine of each list that can run here.

    Raises:
        InputError: a list has an engine that does not exist.
        MissingWeightsError: none of a list can.
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
            told = "; ".join(f"{engine}: {reason}" for engine, reason in reasons.items())
            raise MissingWeightsError(f"{stage}: none of its engines can run here: {told}")
    return chosen


def write_engines(path: Path, params: Params, refresh: bool = False) -> dict[str, str]:
    """Write data/engines.yaml, keeping earlier choices unless ``refresh``; give what it now says."""
    kept = _kept(path) if path.exists() and not refresh else {}
    chosen = choose(params, kept)
    if chosen != kept:
        write_yaml(path, chosen, _HEADER)
    return chosen


def _kept(path: Path) -> dict[str, str]:
    try:
        kept = read_texts(path, "")
    except InputError as error:
        raise InputError(f"{error}; choose anew with `gotowce sync --refresh`") from None
    if not isinstance(kept, dict):
        raise InputError(f"{path}: expected a table stage: engine; run `gotowce sync --refresh`")
    return kept


def _name(engine: str) -> str:
    return engine.partition(":")[0]
