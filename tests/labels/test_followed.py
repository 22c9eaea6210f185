import json
import math
from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.labels.followed import read_tracked

_KEY = {"frame_index": 3, "box": [10.0, 20.0, 40.0, 60.0], "goes_on": True}
_TRACK = {"object_id": "0/1", "class_name": "ship", "key_frames": [_KEY, {**_KEY, "frame_index": 9}]}
_REVIEW = {
    "review_id": "1@t", "task": "1/1@t", "annotator": 1, "at": "2026-01-02T03:04:05Z", "state": "done",
    "tracks": [_TRACK],
}  # fmt: skip
_GOOD = {"video": "duel", "frames": 10, "width": 160, "height": 96, "fps": 20.0, "reviews": [_REVIEW]}


def _file(tmp_path: Path, content: dict) -> Path:
    path = tmp_path / "duel.json"
    path.write_text(json.dumps(content))
    return path


def _key(**changes: object) -> dict:
    return {**_GOOD, "reviews": [{**_REVIEW, "tracks": [{**_TRACK, "key_frames": [{**_KEY, **changes}]}]}]}


def _track(**changes: object) -> dict:
    return {**_GOOD, "reviews": [{**_REVIEW, "tracks": [{**_TRACK, **changes}]}]}


def test_a_good_file_is_read(tmp_path: Path) -> None:
    tracked = read_tracked(_file(tmp_path, _GOOD))
    assert tracked is not None
    assert [key.frame_index for key in tracked.reviews[0].tracks[0].key_frames] == [3, 9]


def test_an_object_may_leave_the_frame(tmp_path: Path) -> None:
    assert read_tracked(_file(tmp_path, _key(box=[-30, 20, 0, 60]))) is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**_GOOD, "video": "other"}, "holds tracks of the video 'other', not of duel"),
        ({**_GOOD, "video": "../duel"}, "video: '../duel' is a path"),
        ({**_GOOD, "frames": 0}, "frames: expected at least 1"),
        ({**_GOOD, "frames": 2**40}, "frames: expected at most"),
        ({**_GOOD, "width": -1}, "width: expected at least 1"),
        ({**_GOOD, "fps": math.nan}, "fps: expected a finite number"),
        ({**_GOOD, "fps": 0}, "fps: expected more than 0"),
        (_key(box=[math.nan, 20, 40, 60]), "box.0: expected a finite number, got nan"),
        (_key(box=[40, 20, 10, 60]), "a box needs x1 < x2"),
        (_key(box=[1000, 20, 1040, 60]), "far outside a frame of 160 x 96 pixels"),
        (_key(frame_index=10), "frame 10 of a video of 10 frames"),
        (_key(frame_index=-1), "frame_index: expected at least 0"),
        (_key(goes_on="yes"), "goes_on: expected true or false, got 'yes'"),
        (_track(class_name=""), "class_name: a name must hold"),
        (_track(key_frames=[_KEY, _KEY]), "frame_index must increase, got [3, 3]"),
        (_track(key_frames=[{**_KEY, "frame_index": 9}, _KEY]), "frame_index must increase, got [9, 3]"),
        ([], "expected a table"),
    ],
    ids=[
        "another video's", "a path for a video", "no frames", "too many frames", "no width", "fps no number",
        "fps of zero", "a box that is no number", "a reversed box", "a box elsewhere", "beyond the end",
        "before the start", "a word for a truth", "no class", "a frame twice", "back in time", "a list",
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_with_file_and_field(tmp_path: Path, content: dict, message: str) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(InputError) as error:
        read_tracked(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
