"""One YAML dialect: what we write every parser reads alike, and what is wrong is one sentence."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.yaml_files import dump_yaml, parse_yaml, read_texts, read_yaml, write_yaml

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffe\uffff"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "line 2, column 1: did not find expected node content"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key a occurs twice; keep one of them"),
        ("a: {fps: 1, fps: 2}", "line 1, column 13: the key fps occurs twice"),
        ("a: \x00", "unacceptable character"),
        ("a:\n\t- b", "line 2, column 1: found character that cannot start any token"),
        ("'", "found unexpected end of stream"),
        ("a: *b", "found undefined alias"),
        ("? {a: 1}\n: 2", "found unhashable key"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !!binary x", "failed to decode base64"),
        ("a: !!float x", "could not convert"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("--- a\n--- b", "found another document"),
        ("%YAML 9.9\n---\na: 1", "incompatible YAML document"),
        ("[" * 100_000, "nested more than 100 levels"),
        ("- " * 100_000, "nested more than 100 levels"),
        ("{a: " * 5000, "nested more than 100 levels"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(200)), "nested more than 100 levels"),
    ],
)
def test_what_is_no_yaml_is_refused_in_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "does not exist; run this inside a gotowce project"),
        (Path.mkdir, "a folder, expected a file"),
        (lambda path: path.write_bytes(b"a: 1\n# caf\xe9\n"), "line 2: byte 0xe9 is not UTF-8"),
        (lambda path: path.symlink_to(path), "circular links"),
    ],
    ids=["missing", "folder", "Latin-1", "link to itself"],
)
def test_what_is_no_text_is_refused_in_one_sentence(tmp_path: Path, make, problem: str) -> None:
    path = tmp_path / "f.yaml"
    make(path)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", "yes"), ("on", "on"), ("08", 8), ("1:30", "1:30"), ("true", True), ("2.0", 2.0), ("", {})],
)
def test_words_are_read_as_dvc_reads_them(text: str, value: object) -> None:
    from dvc.utils.serialize import parse_yaml as dvcs

    assert parse_yaml(text, "f") == value == dvcs(text, "f")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "f.yaml") == {"a": 1}


@given(st.dictionaries(TEXT, st.dictionaries(TEXT, TEXT, max_size=3), max_size=4))
def test_what_we_write_both_dialects_read_alike(content: dict[str, dict[str, str]]) -> None:
    text = dump_yaml(content)
    assert YAML(typ="safe").load(text) == yaml.safe_load(text) == parse_yaml(text, "f") == content


@given(st.text(alphabet="[]{}:,-?!&*#|>'\"%@` \n\tab01.\x00", max_size=60))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        parse_yaml(text, "f.yaml")
    except InputError as error:
        assert str(error).startswith("f.yaml: ")
        assert "\n" not in str(error)


def test_files_of_older_versions_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "videos.yaml"
    path.write_text("videos:\n  08:\n    file: 08.mp4\n    points: none\n    profile: no\n", encoding="utf-8")
    expected = {"videos": {"08": {"file": "08.mp4", "points": "none", "profile": "no"}}}
    assert read_texts(path, "") == expected
    write_yaml(path, expected)
    assert read_texts(path, "") == read_yaml(path) == yaml.safe_load(path.read_text()) == expected
