"""The metadata of an asset, whether DVC or Dagster made it."""

from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.assets import model, studies, videos
from gotowce_dagster.assets.materialize import dagster_error, lock_metadata
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.intake.dvc_remote import RemoteError
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


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [
        pytest.param(MissingWeightsError("a.pt: not found"), 0, 30, id="weights"),
        pytest.param(MissingWeightsError("a.pt: not found"), 1, 60, id="weights again"),
        pytest.param(MissingWeightsError("a.pt: not found"), 2, "a.pt: not found", id="weights too often"),
        pytest.param(RemoteError("no connection"), 0, 30, id="a transfer"),
        pytest.param(InputError("a.mp4: not a video"), 0, "a.mp4: not a video", id="bad input"),
        pytest.param(MemoryError(), 0, "not enough memory", id="the system"),
        pytest.param(ValueError("unexpected"), 0, None, id="a fault"),
    ],
)
def test_only_what_may_succeed_in_a_while_is_tried_again(
    error: Exception, attempts: int, expected: int | str | None
) -> None:
    match dagster_error(error, attempts):
        case dg.RetryRequested(seconds_to_wait=seconds, max_retries=2):
            assert seconds == expected
        case dg.Failure(description=str(sentence)):
            assert isinstance(expected, str)
            assert sentence.startswith(expected)
        case other:
            assert other is expected is None


def test_an_interrupted_stage_is_not_tried_again() -> None:
    """Dagster's own retry policy would start it again after half a minute, though a human stopped it."""
    assets = [asset for asset in vars(model).values() if isinstance(asset, dg.AssetsDefinition)]
    assert assets
    assert all(asset.op.retry_policy is None for asset in [*assets, *studies.ASSETS, videos.masks])
