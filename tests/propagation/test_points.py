"""Tables of human point prompts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.propagation.points import prompts, read_points
from gotowce_dagster.video.decode import VideoInfo

VIDEO = VideoInfo(320, 240, 25.0, 100, 4.0, "h264", "yuv420p", False)
HEADER = "frame_index,object_id,x,y,label\n"


def table(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = folder / "points.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def test_points_of_an_object_in_a_frame_form_one_prompt(tmp_path: Path) -> None:
    points = read_points(
        table(tmp_path, "50,b,7,8,1\n0,a,10.5,20,1\n0,a,30,40,0\n0, b ,1,2,1\n50,a,3,4,0\n"), VIDEO
    )
    found = prompts(points)
    assert {frame: list(objects) for frame, objects in found.items()} == {0: ["a", "b"], 50: ["a", "b"]}
    np.testing.assert_array_equal(found[0]["a"].points, [[10.5, 20], [30, 40]])
    np.testing.assert_array_equal(found[0]["a"].labels, [1, 0])
    np.testing.assert_array_equal(found[50]["a"].labels, [0])  # a later correction


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,a,1,1,1\n100,a,1,1,1\n", "row 3: the video ends with frame 99"),
        ("-1,a,1,1,1\n", "row 2: frame_index must be a whole number"),
        ("1.5,a,1,1,1\n", "row 2: frame_index must be a whole number"),
        ("x,a,1,1,1\n", "row 2: frame_index must be a whole number"),
        ("0,a,1,1,1\n0,a,2,2,2\n", "row 3: label must be 1"),
        ("0,a,1,1,yes\n", "row 2: label must be 1"),
        ("0,,1,1,1\n", "row 2: object_id must not be empty"),
        ("inf,a,1,1,1\n", "row 2: frame_index must be a whole number"),
        ("1e308,a,1,1,1\n", "row 2: the video ends with frame 99"),
        ("0,a,nan,1,1\n", "row 2: x must lie in the frame"),
        ("0,a,1,1e999,1\n", "row 2: y must lie in the frame"),
        ("0,a,1,1,1,7\n", "row 2: has 6 fields, the header has 5"),
        ("0,a,1,1\n", "row 2: has 4 fields, the header has 5"),
        ('0,"a\nb",1,1,1\n', "row 3: object_id must be one line"),
        ("0,a,320,1,1\n", "row 2: x must lie in the frame, 0 to 320"),
        ("0,a,1,-0.5,1\n", "row 2: y must lie in the frame, 0 to 240"),
        ("0,a,,1,1\n", "row 2: x must lie"),
        ("0,a,1,1,1\n0,b,5,5,0\n5,b,6,6,0\n", "row 3: its object has negative points only"),
        ("0,a,1,1,1\n3,a,1,1,1\n0,a,1.0,1,0\n", "row 4: this point is in the table twice"),
    ],
    ids=[
        "after the end", "before the start", "half a frame", "no number", "unknown label", "label a word",
        "no object", "frame inf", "frame 1e308", "x nan", "y overflows", "a field too many",
        "a field too few", "object of two lines", "right of the frame", "above the frame", "no x",
        "negatives only", "contradiction",
    ],
)  # fmt: skip
def test_error_names_the_bad_row(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=r"points\.csv: " + message):
        read_points(table(tmp_path, rows), VIDEO)


@pytest.mark.parametrize(
    ("header", "message"), [("frame,object_id,x,y,label\n", "expected"), ("", "cannot be read|expected")]
)
def test_wrong_columns_are_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_points(table(tmp_path, "", header), VIDEO)


def test_empty_table_gives_no_prompts(tmp_path: Path) -> None:
    assert prompts(read_points(table(tmp_path, ""), VIDEO)) == {}


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from("abc"), st.floats(0, 319.9), st.floats(0, 239.9)),
        min_size=1,
        max_size=20,
        unique=True,
    )
)
def test_points_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    text = "".join(f"{f},{o},{x!r},{y!r},1\n" for f, o, x, y in rows)
    found = prompts(read_points(table(tmp_path_factory.mktemp("points"), text), replace(VIDEO, frames=100)))
    read = {
        (frame, name, x, y)
        for frame, objects in found.items()
        for name, prompt in objects.items()
        for x, y in np.asarray(prompt.points).tolist()
    }
    assert read == set(rows)
