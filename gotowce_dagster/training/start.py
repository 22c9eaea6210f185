"""The start of a training: the weights or the architecture that data/engines.yaml names."""

from pathlib import Path

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.training.engines.registry import ENGINES
from gotowce_dagster.training.model_folder import has_no_weights


def starting_weights(project: Project) -> tuple[str, str | Path]:
    """The name of the starting weights and their file or folder; of an architecture, its name twice.

    Raises:
        InputError: data/engines.yaml names another engine than params.yaml, or the weights are not trusted.
        MissingWeightsError: the weights are neither on this machine nor downloadable.
    """
    named = _named(project)
    if has_no_weights(named):
        return named, named
    start = Path(weights.require(named))
    # A folder contains tensors for an architecture of a library; a file of ultralytics contains code.
    if not start.is_dir():
        require_trusted(start, project.paths.root)
    return named, start


def _named(project: Project) -> str:
    engine, chosen = project.params.finetuned_model.engine, project.engines["finetuned_model"]
    if engine == "yolo":
        named = "" if chosen.startswith(tuple(f"{name}:" for name in ENGINES)) else chosen
    else:
        named = EngineSpec.parse(chosen).weights if chosen.startswith(f"{engine}:") else ""
    if not named:
        raise InputError(
            f"{project.paths.engines}: {chosen} is not of the engine {engine} that params.yaml names "
            "(finetuned_model.engine); run `gotowce sync`"
        )
    return named
