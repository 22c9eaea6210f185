from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.truth import (
    empty_complete_truth,
    is_complete_truth,
    read_complete_truth,
    read_truth,
)


@dataclass(frozen=True)
class _Extent:
    width: int = 320
    height: int = 240
    frames: int = 100


HEADER = "clip,frame_index,x1,y1,x2,y2,label\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.mp4,1e308,1,2,3,4,object\n", "row 2: frame_index must be a whole number"),
        ("a.mp4,inf,1,2,3,4,object\n", "row 2: frame_index must be a whole number"),
        ("a.mp4,nan,1,2,3,4,object\n", "row 2: frame_index must be a whole number"),
        ("a.mp4,1.5,1,2,3,4,object\n", "row 2: frame_index must be a whole number"),
        ("a.mp4,True,1,2,3,4,object\n", "row 2: frame_index must be a whole number"),
        ("a.mp4,9223372036854775808,1,2,3,4,object\n", "row 2: frame_index must be a whole number"),
        ("a.mp4,100,1,2,3,4,object\n", "row 2: the video ends with frame 99"),
        ("a.mp4,5,-inf,2,inf,4,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,1,2,1e308,4,object\n", "row 2: a box must lie within an image"),
        ("a.mp4,5,4,2,1,4,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,1,2,nan,4,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,1,2,700,400,object\n", "row 2: the box exceeds the image of 320 x 240"),
        ("a.mp4,5,-9,2,30,40,designator\n", "row 2: the box exceeds the image of 320 x 240"),
        ("a.mp4,5,330,2,350,40,designator_partial\n", "row 2: the box exceeds the image of 320 x 240"),
        ("a.mp4,5,1,2,3,4\n", "row 2: has 6 fields, the header has 7"),
        ("a.mp4,5,1,2,3,4,object,9\n", "row 2: has 8 fields, the header has 7"),
        ("\n\na.mp4,5,1,2,3,4,OBJECT\n", "row 4: label must be one of"),
        ('"a\nb.mp4",5,1,2,3,4,object\na.mp4,5,1,2,3,4,\n', "row 4: label must be one of"),
        ('"a.mp4,5,1,2,3,4,object\n', "cannot be read as CSV"),
    ],
    ids=[
        "frame 1e308", "frame inf", "frame nan", "half a frame", "frame true", "frame 2^63", "after the end",
        "infinite box", "box 1e308", "reversed box", "nan in a box", "box of a larger picture",
        "whole box over the edge", "part of a box beside the picture", "a field too few", "a field too many",
        "blank lines are counted", "a name of two lines", "a quote without end",
    ],
)  # fmt: skip
def test_invalid_ground_truth_is_refused_with_its_row(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + "a.mp4,5,1,2,3,4,object\n")
    assert len(read_truth(path, _Extent())) == 1
    path.write_text(HEADER + rows)
    with pytest.raises(InputError, match=rf"truth\.csv: {message}"):
        read_truth(path, _Extent())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"\n\n", b"clip;frame_index\n1;2\n", HEADER.replace("y2", "x2").encode()],
    ids=["empty", "not UTF-8", "blank lines only", "semicolons", "a column twice"],
)
def test_other_files_are_refused_with_the_expected_columns(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "truth.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"truth\.csv: .*expected a CSV with the columns clip,frame_index"):
        read_truth(path)


def test_rows_of_other_clips_are_not_validated_against_this_video(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + "a.mp4,5,1,2,3,4,object\nb.mp4,5000,1,2,1900,400,object\n")
    assert read_truth(path, _Extent(), {"a.mp4"})["clip"].tolist() == ["a.mp4", "b.mp4"]
    with pytest.raises(InputError, match="row 3: the video ends"):
        read_truth(path, _Extent(), {"b.mp4"})


def test_mark_cut_by_the_edge_may_be_drawn_whole(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + "a.mp4,5,-20,2,30,40,designator_partial\na.mp4,5,-1.5,0,30,241,designator\n")
    assert read_truth(path, _Extent())["x1"].tolist() == [-20, -1.5]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs"]), min_size=1),
            st.integers(0, 2**31 - 1),
            *(st.floats(0, 1000) for _ in range(4)),
            st.sampled_from(["designator", "object", "none"]),
        ),
        max_size=5,
    )
)
def test_ground_truth_written_by_pandas_round_trips(rows: list[tuple]) -> None:
    written = pd.DataFrame(rows, columns=HEADER.strip().split(","))
    low, high = written[["x1", "y1"]].copy(), written[["x2", "y2"]].copy()
    written[["x2", "y2"]] = low.to_numpy() + high.to_numpy() + 0.25
    with TemporaryDirectory() as folder:
        path = Path(folder) / "truth.csv"
        written.to_csv(path, index=False)
        read = read_truth(path)
    assert read["clip"].tolist() == [clip.strip() for clip in written["clip"]]
    for name in ("frame_index", *BOX, "label"):
        assert read[name].tolist() == written[name].tolist()


@given(st.binary(max_size=200))
def test_any_bytes_are_ground_truth_or_refused_with_a_message(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "truth.csv"
        path.write_bytes(HEADER.encode() + content)
        try:
            read = read_truth(path, _Extent())
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert read["frame_index"].between(0, 99).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.mp4,5,1,2,3,4,thing\n", "row 2: label must be one of"),
        ("a.mp4,5,1,2,3,4,object\na.mp4,-1,1,2,3,4,object\n", "row 3: frame_index"),
        ("a.mp4,5,3,2,3,4,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,,,,,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,one,2,3,4,object\n", "row 2: a box needs x1 < x2"),
    ],
    ids=["unknown label", "negative frame", "no width", "box missing", "text for a number"],
)
def test_error_names_the_bad_row(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + rows)
    with pytest.raises(InputError, match=message):
        read_truth(path)


def test_error_names_missing_columns(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("clip,frame_index\na.mp4,1\n")
    with pytest.raises(InputError, match="x1, y1, x2, y2, label"):
        read_truth(path)


def test_ground_truth_with_negative_frames(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + "a.mp4,5,1,2,3.5,4,object\na.mp4,9,,,,,none\n")
    rows = read_truth(path)
    assert rows["frame_index"].tolist() == [5, 9]
    assert rows["x2"].tolist()[0] == 3.5
    assert rows["x2"].isna().tolist() == [False, True]


COMPLETE = "clip,frame_index,x1,y1,x2,y2,label,marked\n"


def test_complete_truth(tmp_path: Path) -> None:
    file = tmp_path / "complete.csv"
    file.write_text(COMPLETE + "a.mp4,3,1,2,5,6,ship,yes\na.mp4,3,9,9,12,12,unsure,no\na.mp4,4,,,,,none,no\n")
    assert is_complete_truth(file)
    rows = read_complete_truth(file)
    assert rows["label"].tolist() == ["ship", "unsure", "none"]
    assert rows["frame_index"].tolist() == [3, 3, 4]
    assert list(empty_complete_truth().columns) == list(rows.columns)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.mp4,3,1,2,5,6,ship,maybe", "row 2: marked must be yes or no"),
        ("a.mp4,3,1,2,5,6,,yes", "row 2: label must be a class"),
        ("a.mp4,3,5,2,5,6,ship,yes", "row 2: a box needs x1 < x2"),
        ("a.mp4,-1,1,2,5,6,ship,no", "row 2: frame_index must be a whole number"),
        ("a.mp4,3,1,2,5,6,ship,no\na.mp4,3,,,,,none,no", "row 2: a frame with the label none"),
        ("a.mp4,3.0,1,2,5,6,ship,no\na.mp4,03,,,,,none,no", "row 2: a frame with the label none"),
        ("a.mp4,3,1,2,5,6,ship,no\na.mp4,3.0,1.0,2,5,6,ship,no", "row 3: a row before has the same box"),
        ("a.mp4,3,1,2,5,6,Other,no", "row 2: write the labels other, unsure and none in lower case"),
        ("a.mp4,3,,,,,NONE,no", "row 2: write the labels"),
        ("a.mp4,x,1,2,5,6,ship,no\na.mp4,y,1,2,5,6,ship,no", "row 2: frame_index must be a whole number"),
    ],
)
def test_complete_truth_with_a_bad_row(tmp_path: Path, rows: str, message: str) -> None:
    file = tmp_path / "complete.csv"
    file.write_text(f"{COMPLETE}{rows}\n")
    with pytest.raises(InputError, match=message):
        read_complete_truth(file)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["ship,no", "ship,no"], "row 3: a row before has the same box and label"),
        (["ship,no", "ship,yes"], "row 3: a row before has the same box and label"),
        (["ship,no", "drone,no"], "row 3: a row before has the same box with another label"),
    ],
)
def test_an_object_that_is_boxed_twice_is_refused(tmp_path: Path, rows: list[str], problem: str) -> None:
    """One of the two would always count as missed."""
    file = tmp_path / "duel.csv"
    head = "clip,frame_index,x1,y1,x2,y2,label,marked\n"
    file.write_text(head + "".join(f"duel.mp4,3,1,1,9,9,{row}\n" for row in rows))
    with pytest.raises(InputError, match=problem):
        read_complete_truth(file)
    file.write_text(head + "".join(f"duel.mp4,{place},1,1,9,9,{row}\n" for place, row in enumerate(rows)))
    assert len(read_complete_truth(file)) == 2, "in two frames"
