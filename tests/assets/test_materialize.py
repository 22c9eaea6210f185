"""The metadata of an asset, whether DVC or Dagster made it."""

from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.assets.materialize import lock_metadata
from gotowce_dagster.config.project import Project
from gotowce_dagster.previews import table
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.stages.base import Stage
from tests.worlds import make_world

IMAGES, VIDEO = "sam2:sam2.1_hiera_tiny.pt", "edgetam:EdgeTAM-hf"
ENTRY = {"deps": [], "outs": [{"path": "data/masks/a.parquet", "md5": "5d41402a", "size": 5}]}


@pytest.mark.parametrize(
    ("engines", "expected"),
    [
        pytest.param({"masks": IMAGES, "propagation": "unused"}, {"engine": IMAGES}, id="image by image"),
        pytest.param(
            {"masks": IMAGES, "propagation": VIDEO},
            {"engine": IMAGES, "propagation_engine": VIDEO},
            id="through the video",
        ),
    ],
)
def test_masks_tell_every_engine_they_were_made_with(
    tmp_path: Path, engines: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(make_world(tmp_path, {"a": ["hostile"]}).paths)
    project.paths.engines.write_text("".join(f"{name}: {one}\n" for name, one in engines.items()))
    stage = Stage("masks", True, lambda *_: None)
    monkeypatch.setitem(table.PREVIEWS, "masks", lambda *_: Preview({"masks": 3}))
    metadata = lock_metadata(project, stage, "a", ENTRY)
    assert {name: value.value for name, value in metadata.items() if "engine" in name} == expected
    assert metadata["masks"] == dg.MetadataValue.int(3)
