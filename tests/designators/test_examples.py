"""Which frames a calibration looks at, and which boxes it refuses."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.designators.examples import _spread_between, read_material
from gotowce_dagster.video.encode import write_video
from tests.detectors.marks import sky

BOXES = "clip,frame_index,x1,y1,x2,y2,label\n" + "".join(
    f"a.mp4,{k},{20 + 9 * k},30,{60 + 9 * k},70,designator\n" for k in range(3)
)


@given(frames=st.integers(1, 4000), count=st.integers(1, 25), data=st.data())
def test_unseen_frames_are_distinct_free_and_spread_over_the_whole_video(
    frames: int, count: int, data: st.DataObject
) -> None:
    taken = data.draw(st.sets(st.integers(0, frames - 1), max_size=10))
    found = _spread_between(frames, taken, count)
    assert found == sorted(set(found) - taken)
    assert len(found) == min(count, frames - len(taken))
    if frames > 200 and count > 4:
        assert found[0] < 0.1 * frames
        assert found[-1] > 0.9 * frames
        assert np.diff(found).max() <= 3 * frames / count


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    video = tmp_path / "a.mp4"
    write_video(video, [sky(320, 180, seed=k) for k in range(8)])
    return video


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("a.mp4,1,,,,,none\n", "frame 1 of a.mp4 has a box and the label `none`"),
        ("a.mp4,4,1,0,320,179,designator\n", "frame 4: the box is the whole frame"),
        ("a.mp4,1,31,32,70,71,designator\n", "frame 1: two boxes are around one mark"),
    ],
)
def test_rows_that_contradict_are_refused(clip: Path, more: str, message: str) -> None:
    boxes = clip.with_suffix(".csv")
    boxes.write_text(BOXES + more, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_material([clip], boxes)


def test_two_videos_of_one_name_are_refused(clip: Path, tmp_path: Path) -> None:
    boxes = clip.with_suffix(".csv")
    boxes.write_text(BOXES, encoding="utf-8")
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / clip.name
    other.write_bytes(clip.read_bytes())
    with pytest.raises(InputError, match=r"two of the videos are called a\.mp4"):
        read_material([clip, other], boxes)


def test_a_second_box_of_the_same_corner_is_an_example_too(clip: Path) -> None:
    boxes = clip.with_suffix(".csv")
    boxes.write_text(BOXES + "a.mp4,0,20,30,110,120,designator\n", encoding="utf-8")
    material = read_material([clip], boxes)
    assert len(material.examples) == 4
    assert [shown.frame_index for shown in material.unseen] == [3, 4, 5, 6, 7]
