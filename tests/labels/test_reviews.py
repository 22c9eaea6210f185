import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.core import rle
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.labels.reviews import (
    ReviewedFrame,
    ReviewedVideo,
    merged,
    read_reviewed,
    write_reviewed,
)
from tests.review.frames import AT, change, review, reviewed, thing

_LATER = AT.replace("2026", "2027")


def _pulled(*reviews) -> ReviewedVideo:
    return ReviewedVideo(video="duel", frames=(reviewed(*reviews),))


def test_a_file_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "reviewed" / "duel.json"
    known = _pulled(
        review(
            objects=(thing(1.123456789012345, 2, 3, 4),), changes=(change(moved_px=0.1),), quality=("blur",)
        )
    )
    assert read_reviewed(path) == ReviewedVideo(video="duel")
    write_reviewed(path, known)
    assert read_reviewed(path) == known
    before = path.read_bytes()
    write_reviewed(path, read_reviewed(path))
    assert path.read_bytes() == before


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "duel.json"
    path.write_text('{"video": "duel", "frames": [{}]}')
    with pytest.raises(InputError, match=r"duel.json: not readable as reviews"):
        read_reviewed(path)


@pytest.mark.parametrize(
    ("seen_task", "seen", "states"),
    [
        ("1/1@t", [review("1")], {"1": "done"}),
        ("1/1@t", [review("1", verdict="reject")], {"1": "done"}),
        ("1/1@t", [review("2", at=_LATER)], {"1": "withdrawn", "2": "done"}),
        ("1/1@t", [], {"1": "withdrawn"}),
        ("2/9@u", [], {"1": "done"}),
        ("2/9@u", [review("7", task="2/9@u", at=_LATER)], {"1": "done", "7": "done"}),
    ],
    ids=[
        "seen again",
        "another verdict",
        "deleted and reviewed again",
        "deleted in Label Studio",
        "another project, not reviewed there",
        "another project, reviewed there too",
    ],
)
def test_no_review_is_dropped(seen_task: str, seen: list, states: dict[str, str]) -> None:
    (frame,) = merged(_pulled(review("1")), [(seen_task, reviewed(*seen))]).frames
    assert {one.review_id: one.state for one in frame.reviews} == states


def test_unread_frames_stay_and_frames_without_reviews_are_not_added() -> None:
    known = _pulled(review())
    assert merged(known, [("1/2@t", reviewed(index=99))]) == known
    added = merged(known, [("1/2@t", reviewed(review("5", task="1/2@t"), index=10))])
    assert [frame.frame_index for frame in added.frames] == [10, 30]


def test_the_newest_verdict_decides() -> None:
    skipped = review("3", at=AT.replace("2026", "2028"), state="skipped", verdict=None)
    both = reviewed(review("1"), review("2", at=_LATER, verdict="reject"), skipped)
    assert both.decision is not None
    assert both.decision.review_id == "2"
    assert reviewed(skipped, review("4", state="withdrawn")).decision is None


_DELETE = object()


def _with(content: dict, *path: str | int, value: object) -> dict:
    """A copy of JSON content with one place changed, or taken away."""
    changed = json.loads(json.dumps(content))
    place = changed
    for step in path[:-1]:
        place = place[step]
    if value is _DELETE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


_GOOD = json.loads(
    _pulled(
        review(objects=(thing(10, 20, 40, 60, label=0),), changes=(change(moved_px=0.5),))
    ).model_dump_json()
)
_FRAME = ("frames", 0)
_REVIEW = (*_FRAME, "reviews", 0)
_OBJECT = (*_REVIEW, "objects", 0)
_FOREIGN = rle.encode(np.ones((48, 80), bool))
_NOTHING = rle.encode(np.zeros((96, 160), bool))

HOSTILE = {
    "another video's": (("video",), "other", "holds reviews of the video 'other', not of duel"),
    "a path for a video": (("video",), "../duel", "video: '../duel' is a path"),
    "a box that is no number": ((*_OBJECT, "box", 0), math.nan, "box.0: expected a finite number, got nan"),
    "an infinite box": ((*_OBJECT, "box", 2), math.inf, "box.2: expected a finite number, got inf"),
    "a box as text": ((*_OBJECT, "box", 2), "40", "box.2: expected a number, got '40'"),
    "a reversed box": ((*_OBJECT, "box"), [40, 20, 10, 60], "a box needs x1 < x2"),
    "a flat box": ((*_OBJECT, "box"), [10, 20, 40, 20], "a box needs x1 < x2"),
    "three sides": ((*_OBJECT, "box"), [10, 20, 40], "box.3: is missing"),
    "a box of a larger picture": (
        (*_OBJECT, "box"),
        [10, 20, 400, 60],
        "leaves the frame of 160 x 96 pixels",
    ),
    "a box above the picture": ((*_OBJECT, "box"), [10, -20, 40, 60], "leaves the frame of 160 x 96 pixels"),
    "a mask of another size": ((*_OBJECT, "rle"), _FOREIGN, "object 0: no mask of 160 x 96 pixels"),
    "a mask cut off": ((*_OBJECT, "rle"), "`", "object 0: no mask of 160 x 96 pixels"),
    "a mask that is no mask": ((*_OBJECT, "rle"), "\u20ac\x00", "object 0: no mask of 160 x 96 pixels"),
    "a mask without a pixel": ((*_OBJECT, "rle"), _NOTHING, "the mask has no pixels"),
    "an id of 2^40": ((*_OBJECT, "detection_id"), 2**40, "detection_id: expected at most 2147483647"),
    "a negative id": ((*_OBJECT, "detection_id"), -1, "detection_id: expected at least 0"),
    "an id and a half": ((*_OBJECT, "detection_id"), 1.5, "detection_id: expected a whole number"),
    "no class": ((*_OBJECT, "class_name"), "", "class_name: a name must hold something readable"),
    "a blank class": ((*_OBJECT, "class_name"), " ", "class_name: a name must hold something readable"),
    "a class of two lines": ((*_OBJECT, "class_name"), "a\nb", "class_name: a name must hold"),
    "a class for ever": ((*_OBJECT, "class_name"), "a" * 999, "class_name: expected at most 200"),
    "a frame before the first": ((*_FRAME, "frame_index"), -1, "frame_index: expected at least 0"),
    "a frame of 2^40": ((*_FRAME, "frame_index"), 2**40, "frame_index: expected at most 2147483647"),
    "a frame that is true": ((*_FRAME, "frame_index"), True, "frame_index: expected a whole number"),
    "no width": ((*_FRAME, "width"), 0, "width: expected at least 1"),
    "a negative height": ((*_FRAME, "height"), -96, "height: expected at least 1"),
    "a reviewer of 2^70": ((*_REVIEW, "annotator"), 2**70, "annotator: expected"),
    "an unknown verdict": ((*_REVIEW, "verdict"), "perhaps", "verdict: expected 'accept', 'fix' or 'reject'"),
    "negative seconds": ((*_REVIEW, "seconds"), -1.0, "seconds: expected at least 0"),
    "a change of an infinite way": (
        (*_REVIEW, "changes", 0, "moved_px"),
        math.inf,
        "moved_px: expected a finite",
    ),
    "an IoU of two": ((*_REVIEW, "changes", 0, "mask_iou"), 2, "mask_iou: expected at most 1"),
    "no reviews": ((*_FRAME, "reviews"), _DELETE, "frames.0.reviews: is missing"),
    "a field nobody knows": ((*_FRAME, "colour"), "red", "frames.0.colour: there is no such field"),
}


@pytest.mark.parametrize(("place", "value", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_with_file_and_field(
    tmp_path: Path, place: tuple, value: object, message: str
) -> None:
    path = tmp_path / "duel.json"
    path.write_text(json.dumps(_GOOD))
    assert read_reviewed(path).frames[0].reviews[0].objects
    path.write_text(json.dumps(_with(_GOOD, *place, value=value)))
    with pytest.raises(InputError) as error:
        read_reviewed(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"video": "duel"', b"[" * 100_000, b"\x00" * 64]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "duel.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"duel\.json: not readable as reviews"):
        read_reviewed(path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "duel.json").mkdir()
    with pytest.raises(InputError, match=r"duel\.json: not readable as reviews"):
        read_reviewed(tmp_path / "duel.json")


_SIZES = st.tuples(st.integers(2, 500), st.integers(2, 500))


@st.composite
def _frames(draw: st.DrawFn) -> ReviewedFrame:
    width, height = draw(_SIZES)
    objects = []
    for _ in range(draw(st.integers(0, 3))):
        x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        x2, y2 = draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))
        mask = np.zeros((height, width), bool)
        mask[y1:y2, x1:x2] = True
        objects.append(
            {
                "class_name": draw(st.sampled_from(["ship", "Звезда", "a b", "ü:1"])),
                "box": (x1, y1, x2, y2),
                "rle": rle.encode(mask) if draw(st.booleans()) else None,
                "detection_id": draw(st.none() | st.integers(0, 2**31 - 1)),
            }
        )
    written = review(objects=objects, seconds=draw(st.none() | st.floats(0, 1e6)))
    return ReviewedFrame(
        frame_index=draw(st.integers(0, 2**31 - 1)),
        frame_hash="h",
        width=width,
        height=height,
        sample="all",
        reviews=(written,),
    )


@settings(max_examples=50)
@given(st.lists(_frames(), max_size=3))
def test_any_review_round_trips(frames: list[ReviewedFrame]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "duel.json"
        written = ReviewedVideo(video="duel", frames=tuple(frames))
        write_reviewed(path, written)
        assert read_reviewed(path) == written
