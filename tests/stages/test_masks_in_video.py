"""Stage masks in mode video, and `gotowce segment`: the real image weights on a drawn scene."""

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle, weights
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.tables import DETECTIONS, LABELS, MASKS, read_table
from gotowce_dagster.labelling.segment_video import PROMPTS, TIMELINE, VIDEO, segment
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.propagation.follow import BACKWARD, FORWARD
from tests.detectors.marks import PROFILE, RED
from tests.support.drawn import drawn_project
from tests.support.synthetic import Bracket, Scene, Target

WEIGHTS = "sam2_hiera_tiny_image.pt"
ENGINES = {
    "masks": f"sam2:{WEIGHTS}",
    "propagation": f"sam2_image_track:{WEIGHTS}",
    "finetuned_model": "a.pt",
}
SHIP = Target("cross", 46, (150, 120), (4, 2), 0.01, (150, 155, 165), Bracket(RED, min_side=60))
SCENE = Scene((SHIP,), frames=40, fps=20, size=(480, 320), absent=(range(10, 31),))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A ship that flies through 40 frames and is marked in the first ten and the last nine."""
    if weights.find(WEIGHTS) is None:
        pytest.skip(f"needs the weights {WEIGHTS}: set GOTOWCE_WEIGHTS_DIR")
    root = tmp_path_factory.mktemp("video")
    return drawn_project(root, SCENE, PROFILE, ENGINES, "video", fps=10, chunk=16)


def overlaps(rows: pd.DataFrame) -> list[float]:
    """IoU of every mask with the exact one."""
    found = []
    for row in rows[rows["rle"].notna()].to_dict("records"):
        mask, exact = rle.mask_of(row), SCENE.masks(row["frame_index"])[0]
        found.append((mask & exact).sum() / (mask | exact).sum())
    return found


@pytest.mark.weights
def test_masks_reach_the_frames_without_a_designator(project: Project) -> None:
    rows = read_table(project.paths.masks("drawn"), MASKS)
    marked = read_table(project.paths.detections("drawn"), DETECTIONS)["frame_index"]
    assert rows["frame_index"].is_unique
    assert set(range(0, 40, 2)) <= set(rows["frame_index"])
    between = rows[rows["frame_index"].between(10, 30)]
    assert not marked.between(10, 30).any()
    assert len(between) >= 10
    assert set(between["prompt"]) <= {FORWARD, BACKWARD}
    assert set(rows["state"]) == {"sure"}
    assert min(overlaps(rows)) > 0.7


@pytest.mark.weights
def test_labels_are_made_of_them(project: Project) -> None:
    labels = read_table(project.paths.labels("drawn"), LABELS)
    propagated = labels[labels["designator_x1"].isna()]
    assert len(propagated) >= 3
    assert propagated["frame_index"].between(10, 30).all()
    assert set(propagated["class_name"]) == {"ship"}
    assert set(labels["verdict"]) == {"accept"}


@pytest.mark.weights
def test_the_preview_shows_prompts_and_a_timeline(project: Project) -> None:
    preview = preview_of(project, "masks", "drawn")
    assert set(preview.more) == {"prompts", "timeline"}
    assert all(picture.shape[0] > 100 for picture in preview.more.values())
    assert preview.numbers["sure"] == len(read_table(project.paths.masks("drawn"), MASKS))


@pytest.mark.weights
def test_segment_by_points_writes_what_people_look_at(project: Project, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    (y, x) = np.argwhere(SCENE.masks(12)[0]).mean(axis=0)
    points.write_text(
        f"frame_index,object_id,x,y,label\n12,ship,{x:.1f},{y:.1f},1\n12,ship,{x + 80:.1f},{y:.1f},0\n"
    )
    done = segment(
        project.raw("drawn"),
        points,
        tmp_path / "out",
        params=project.params,
        engines=ENGINES,
        start=lambda _: lambda done, total: None,
    )
    rows = read_table(tmp_path / "out" / "masks.parquet", MASKS)
    assert set(rows["object_id"]) == {"points/ship"}
    assert rows["frame_index"].tolist() == sorted({*range(0, 40, 2), *range(0, 40, 5)})
    assert np.median(overlaps(rows)) > 0.8
    assert done.states == rows["state"].value_counts().to_dict()
    assert (done.engine, done.device) == (ENGINES["propagation"], best_device())
    with av.open(str(tmp_path / "out" / VIDEO)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert sum(1 for _ in container.decode(video=0)) >= 20
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"masks.parquet", VIDEO, PROMPTS, TIMELINE}
