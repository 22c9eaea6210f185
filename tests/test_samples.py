"""The clips that ship with the project are what their truth says."""

from pathlib import Path

import av
import numpy as np
import pytest

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.truth import read_complete_truth, read_truth
from gotowce_dagster.video.decode import read_frames
from gotowce_dagster.video.packets import read_timeline

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
CLIPS = sorted(SAMPLES.glob("*.mp4"))


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_a_clip_is_small_silent_and_starts_cleanly(path: Path) -> None:
    assert path.stat().st_size <= 3_000_000
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    timeline = read_timeline(path)
    assert timeline.pts[0] == 0
    assert timeline.keys[0, 0] == 0
    assert 20 <= timeline.time_s(timeline.count - 1) <= 30


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_truth_boxes_have_the_designators_colour_on_their_corners(path: Path) -> None:
    """Red stands out from green by 15 levels along each corner's lines, and nowhere so in a shifted box."""
    truth = read_truth(SAMPLES / "truth.csv")
    rows = truth[(truth["clip"] == path.name) & (truth["label"] == "designator")].set_index("frame_index")
    assert len(rows) >= 4
    for frame in read_frames(path, rows.index):
        x1, y1, x2, y2 = rows.loc[frame.index, BOX].astype(int)
        red = frame.rgb().astype(int)
        redness = red[..., 0] - red[..., 1]
        arm = (x2 - x1) // 8
        middle = slice((x1 + x2) // 2 - arm, (x1 + x2) // 2 + arm)
        for line in (slice(y1, y1 + 2), slice(y2 - 2, y2)):
            edge = redness[line, x1 + arm : x1 + 2 * arm]
            assert edge.max() >= redness[line, middle].max() + 15, (frame.index, line)


def test_complete_frames_are_of_the_clips_and_agree_with_the_other_truth() -> None:
    complete = read_complete_truth(SAMPLES / "complete.csv")
    assert set(complete["clip"]) == {path.name for path in CLIPS}
    assert complete.groupby("clip")["frame_index"].nunique().to_dict() == {
        "naev_hostile_sample.mp4": 2,
        "oolite_red_sample.mp4": 3,
    }
    truth = read_truth(SAMPLES / "truth.csv")
    marked = complete[complete["marked"] == "yes"].merge(
        truth[truth["label"] == "object"], on=["clip", "frame_index"], suffixes=("", "_of")
    )
    assert len(marked) == 3
    for side in BOX:
        assert (marked[side] - marked[f"{side}_of"]).abs().max() <= 2


def test_the_negative_row_lies_in_a_stretch_without_designator() -> None:
    truth = read_truth(SAMPLES / "truth.csv")
    assert truth.loc[truth["label"] == "none", "frame_index"].tolist() == [553]
    (frame,) = read_frames(SAMPLES / "oolite_red_sample.mp4", [553])
    sky = frame.rgb()[:540].astype(int)
    assert np.count_nonzero((sky[..., 0] > 60) & (sky[..., 1] < 20) & (sky[..., 2] < 20)) < 20
