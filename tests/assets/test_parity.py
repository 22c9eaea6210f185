"""dvc.yaml and the asset graph tell the same pipeline: the same stages, edges and kinds."""

from functools import cache

import dagster as dg
import pytest

from gotowce_dagster.assets.versions import pipeline
from gotowce_dagster.config.params import Params
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.yaml_files import read_yaml
from gotowce_dagster.definitions import defs
from gotowce_dagster.stages.table import STAGES
from tests.conftest import ROOT

STAGE_SPECS = pipeline(Paths(ROOT))
SOURCES = {"data/raw": "raw_videos", "data/reviewed": "reviewed_labels"}
ELSEWHERE = {"review_tasks"}  # what it makes lies in Label Studio


@cache
def _definitions() -> dg.Definitions:
    return defs()


def _producers() -> dict[str, str]:
    """Which stage makes what lies under which path, without the part that differs by video."""
    made = {out.split("/${key}")[0]: name for name, spec in STAGE_SPECS.items() for out in spec["outs"]}
    return made | SOURCES


def _dvc_edges(name: str) -> set[str]:
    producers = _producers()
    found = {
        path for path in producers for dep in STAGE_SPECS[name]["deps"] if (dep + "/").startswith(path + "/")
    }
    return {producers[path] for path in found}


def test_the_same_stages_in_the_same_order() -> None:
    assert list(STAGE_SPECS) == list(STAGES)
    assert {key.path[-1] for key in _definitions().resolve_asset_graph().get_all_asset_keys()} == {
        *STAGES,
        *SOURCES.values(),
        *ELSEWHERE,
    }


def test_a_plain_repro_runs_no_study() -> None:
    """`dvc repro` runs the dvc.yaml of its folder, and what that depends on."""
    root, studies = (read_yaml(path)["stages"] for path in (ROOT / "dvc.yaml", Paths(ROOT).studies_pipeline))
    assert set(studies) == {name for name, stage in STAGES.items() if stage.is_study}
    assert not set(root) & set(studies)
    assert [dep for spec in root.values() for dep in spec["deps"] if dep.startswith("data/studies")] == []


@pytest.mark.parametrize("name", list(STAGES))
def test_the_same_edges(name: str) -> None:
    parents = _definitions().resolve_asset_graph().get(dg.AssetKey(name)).parent_keys
    assert _dvc_edges(name) == {key.path[-1] for key in parents}


@pytest.mark.parametrize("name", list(STAGES))
def test_the_same_unit_and_parameters(name: str) -> None:
    spec, stage = STAGE_SPECS[name], STAGES[name]
    per_video = any("${key}" in out for out in spec["outs"])
    partitioned = _definitions().resolve_asset_graph().get(dg.AssetKey(name)).partitions_def is not None
    assert per_video == stage.per_video == partitioned
    assert name in Params.model_fields
    assert name in spec["params"]
    assert spec["cmd"] == f"gotowce stage {name}" + (" ${key}" if per_video else "")
