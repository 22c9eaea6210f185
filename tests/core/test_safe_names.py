from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.safe_names import safe_name, safe_path


@pytest.mark.parametrize("name", ["duel", "000030.jpg", "a b", "duel:1.mp4", "[win] boss.mp4", "é" * 127])
def test_a_bare_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name
    assert safe_path(f"images/train/{name}") == f"images/train/{name}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        (".hidden", "begins with a dot"),
        ("../x", "is a path"),
        ("a/b", "is a path"),
        ("/etc/passwd", "is a path"),
        ("a\\b", "is a path"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("a ", "ends with a space"),
        ("a" * 256, "longer than 255 bytes"),
        ("é" * 128, "longer than 255 bytes"),
    ],
)
def test_what_is_no_bare_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        safe_name(name)


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a/.."])
def test_a_path_stays_in_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match=r"name|absolute"):
        safe_path(path)


@given(st.text(alphabet="./\\a \n\x00", max_size=12))
def test_what_is_accepted_never_leaves_the_folder(text: str) -> None:
    try:
        safe_path(text)
    except ValueError:
        return
    parts = PurePosixPath("root", text).parts
    assert parts[0] == "root"
    assert ".." not in parts
    assert len(parts) == 1 + len(text.split("/"))
