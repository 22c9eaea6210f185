"""Code versions of assets: a digest of the stage's source files, and of the parameters named in its pipeline.

An edit of params.yaml or of a stage's code thus makes the asset stale in Dagster exactly when it makes the
stage stale in DVC.
"""

import hashlib
import json
from typing import Any

import dagster as dg

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.yaml_files import read_yaml
from gotowce_dagster.intake.code_digests import listings


def pipeline(paths: Paths) -> dict[str, dict[str, Any]]:
    """Read the stages of a video, of the project and of its studies, by name, without resolving templates."""
    files = (paths.template, paths.root / "dvc.yaml", paths.studies_pipeline)
    return {name: stage for file in files for name, stage in read_yaml(file)["stages"].items()}


def code_version(paths: Paths, stage: str) -> str:
    """Compute a digest of the stage's source files and its sections of the parameter files."""
    spec = pipeline(paths)[stage]
    digest = hashlib.md5(listings(paths)[stage].encode(), usedforsecurity=False)
    params = read_yaml(paths.params)
    own = {name: _value(params, name) for name in spec["params"] if isinstance(name, str)}
    digest.update(json.dumps(own, sort_keys=True).encode())
    return digest.hexdigest()


def with_code_version(paths: Paths, spec: dg.AssetSpec) -> dg.AssetSpec:
    """An asset's spec with the code version of the stage of its name; as it is where there is none."""
    stage = spec.key.path[-1]
    return (
        spec.replace_attributes(code_version=code_version(paths, stage)) if stage in pipeline(paths) else spec
    )


def _value(params: dict[str, Any], name: str) -> Any:
    """The value of a section, or of ``section.value`` in DVC's notation."""
    section, _, rest = name.partition(".")
    return _value(params[section], rest) if rest else params[section]
