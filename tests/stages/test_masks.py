import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import DETECTIONS, MASKS, read_table, write_table
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.segmenters import frame_by_frame
from gotowce_dagster.segmenters.targets import Target
from gotowce_dagster.stages import masks
from tests.worlds import box_at, film, make_world

FRAMES = 9
KILLED_AFTER = 4

# The process ends as by a power cut when it has done KILLED_AFTER frames.
KILLED = """
import os, signal, sys
from pathlib import Path
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.config.project import Project
from gotowce_dagster.stages import masks

def progress(done, total):
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

masks.run(Project(Paths(Path(sys.argv[1]))), "a", progress)
"""


@pytest.fixture
def world(tmp_path: Path) -> Project:
    """A video with a target in every frame, whose masks are not made yet."""
    made = make_world(tmp_path / "world", {"a": ["hostile"] * FRAMES}, is_filmed=True)
    made.paths.masks("a").unlink()
    return made


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by one number for every frame that is segmented."""
    calls: list[int] = []

    def counted(*arguments: Any) -> list[Target]:
        calls.append(len(calls))
        return original(*arguments)

    original = frame_by_frame.find_targets
    monkeypatch.setattr(frame_by_frame, "find_targets", counted)
    yield calls


def interrupt(project: Project) -> None:
    def progress(done: int, total: int) -> None:
        if done == KILLED_AFTER:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        masks.run(project, "a", progress)
    assert not project.paths.masks("a").exists()


def test_the_masks_are_the_targets(world: Project) -> None:
    steps: list[tuple[int, int]] = []
    masks.run(world, "a", lambda done, total: steps.append((done, total)))
    rows = read_table(world.paths.masks("a"), MASKS)
    assert rows["frame_index"].tolist() == [number * 10 for number in range(FRAMES)]
    for number, row in enumerate(rows.to_dict("records")):
        x1, y1, x2, y2 = box_at(number).astype(int)
        truth = np.zeros((row["height"], row["width"]), bool)
        truth[y1:y2, x1:x2] = True
        found = rle.mask_of(row)
        assert (found & truth).sum() / (found | truth).sum() >= 0.8
    assert steps == [(done, FRAMES) for done in range(FRAMES + 1)]
    assert set(rows["segmenter"]) == {"grabcut"}
    assert not world.paths.work("masks").joinpath("a").exists()


def test_objects_are_named_by_shot(world: Project) -> None:
    masks.run(world, "a")
    rows = read_table(world.paths.masks("a"), MASKS)
    assert rows["object_id"].str.match(r"^\d+/\d+$").all()
    assert rows["object_id"].str.startswith("0/").sum() == 8, "the second shot begins with the ninth frame"


@pytest.mark.integration
def test_a_killed_run_goes_on_where_it_stopped(world: Project, segmented: list[int]) -> None:
    command = [sys.executable, "-c", KILLED, str(world.paths.root), str(KILLED_AFTER)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not world.paths.masks("a").exists()
    masks.run(world, "a")
    assert len(segmented) == FRAMES - KILLED_AFTER
    resumed = read_table(world.paths.masks("a"), MASKS)
    masks.run(world, "a")
    assert len(segmented) == FRAMES - KILLED_AFTER + FRAMES, "a finished run leaves nothing to go on with"
    pd.testing.assert_frame_equal(resumed, read_table(world.paths.masks("a"), MASKS))


def test_other_params_begin_anew(world: Project, segmented: list[int]) -> None:
    interrupt(world)
    segmented.clear()
    changed = make_world(world.paths.root, {"a": ["hostile"] * FRAMES}, masks={"min_piece": 0.5})
    masks.run(changed, "a")
    assert len(segmented) == FRAMES


def test_other_detections_begin_anew(world: Project, segmented: list[int]) -> None:
    interrupt(world)
    segmented.clear()
    path = world.paths.detections("a")
    rows = read_table(path, DETECTIONS)
    write_table(rows.assign(x1=rows["x1"] - 1), DETECTIONS, path)
    masks.run(world, "a")
    assert len(segmented) == FRAMES


def test_no_detections_make_an_empty_table_without_a_segmenter(
    tmp_path: Path, segmented: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path, {"a": [None] * 3})
    world.raw_path("a").parent.mkdir()
    world.raw_path("a").write_bytes(b"nothing to decode either")
    monkeypatch.setattr(masks, "build_segmenter", lambda *_: pytest.fail("nothing to segment"))
    masks.run(world, "a")
    assert read_table(world.paths.masks("a"), MASKS).empty
    shown = preview_of(world, "masks", "a")
    assert (shown.numbers["masks"], shown.picture) == (0, None)


def test_a_damaged_picture_changes_nothing(world: Project) -> None:
    masks.run(world, "a")
    before = world.paths.masks("a").read_bytes()
    (world.paths.frames("a") / "000040.jpg").write_bytes(b"no picture")
    masks.run(world, "a")
    assert world.paths.masks("a").read_bytes() == before


def test_a_frame_that_the_video_lacks_is_named(world: Project) -> None:
    film(world.raw("a"), {0: np.zeros((96, 160, 3), np.uint8), 35: np.zeros((96, 160, 3), np.uint8)})
    with pytest.raises(InputError, match="a: frame 40 has a detection but cannot be decoded"):
        masks.run(world, "a")
    assert not world.paths.masks("a").exists()


def test_preview_counts_and_shows(world: Project) -> None:
    masks.run(world, "a")
    shown = preview_of(world, "masks", "a")
    assert (shown.numbers["designators"], shown.numbers["masks"]) == (FRAMES, FRAMES)
    assert shown.numbers["without_mask"] == 0
    assert shown.picture is not None
    assert shown.picture.dtype == np.uint8


def test_mode_video_without_an_engine_for_it_is_refused_before_any_mask_is_made(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", {"a": ["hostile"]}, is_filmed=True, masks={"mode": "video"})
    world.paths.masks("a").unlink()
    with pytest.raises(InputError, match=r"no engine of propagation is chosen yet; run `gotowce sync`"):
        masks.run(world, "a")
    assert not world.paths.masks("a").exists()
