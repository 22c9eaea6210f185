"""Keys of videos: text for every YAML parser, and valid file names."""

import re
from datetime import date, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gotowce_dagster.video.names import LONGEST, key_and_suffix, slug

DAYS = [(month, day) for month in range(1, 13) for day in range(1, 32)]


@pytest.mark.parametrize(
    ("name", "key", "suffix"),
    [
        ("Zażółć Gęślą (1).MP4", "zazolc_gesla_1", ".mp4"),
        ("08.mp4", "v_08", ".mp4"),
        ("09-11-2024 20-15.mp4", "v_09_11_2024_20_15", ".mp4"),
        ("1e5.mp4", "v_1e5", ".mp4"),
        ("0o17.mp4", "v_0o17", ".mp4"),
        ("0x1F.mkv", "v_0x1f", ".mkv"),
        ("2024-01-31.mp4", "v_2024_01_31", ".mp4"),
        ("Yes.mov", "v_yes", ".mov"),
        ("y.mov", "v_y", ".mov"),
        ("null", "v_null", ""),
        ("none.mp4", "v_none", ".mp4"),
        ("2024 boss.mp4", "2024_boss", ".mp4"),
        ("noext", "noext", ""),
        ("x.M2TS", "x", ".m2ts"),
        ("duel:1.mp4", "duel_1", ".mp4"),
        ("[win] boss.mp4", "win_boss", ".mp4"),
        ("[/b]", "b", ""),
        ("Round 1. Boss", "round_1_boss", ""),
        ("v1.2", "v1_2", ""),
        ("clip.dvc", "clip_dvc", ""),
        ("a.b.c.mp4", "a_b_c", ".mp4"),
        (".mp4", "mp4", ""),
        ("-", "video", ""),
        ("😀.mp4", "video", ".mp4"),
        ("\udcff\udcfe.mp4", "video", ".mp4"),
        ("日本語.mkv", "ri_ben_yu", ".mkv"),
        ("\n.mp4", "video", ".mp4"),
        ("../../etc/passwd.mp4", "etc_passwd", ".mp4"),
        ("a" * 251 + ".mp4", "a" * LONGEST, ".mp4"),
    ],
)
def test_key_and_suffix_of_a_file(name: str, key: str, suffix: str) -> None:
    assert key_and_suffix(name) == (key, suffix)


def both_read(word: str) -> tuple[object, object]:
    """The values that YAML 1.2, as in DVC, and YAML 1.1 read from a plain scalar."""
    return YAML(typ="safe").load(word), yaml.safe_load(word)


@pytest.mark.parametrize(
    "form", ["{0:02}-{1:02}", "{1:02}_{0:02}", "{0}-{1}", "2024{0:02}{1:02}", "{0:02}e{1:02}"]
)
def test_every_day_of_the_year_is_text_for_both(form: str) -> None:
    keys = {slug(form.format(*day)) for day in DAYS}
    assert len(DAYS) == 372
    assert all(both_read(key) == (key, key) for key in keys)


def test_recordings_named_by_time_are_text_for_both() -> None:
    days = (date(2024, 1, 1) + timedelta(days) for days in range(366))
    keys = [slug(f"{day:%d-%m-%Y} 20-15") for day in days]
    assert len(set(keys)) == 366
    assert all(both_read(key) == (key, key) for key in keys)


@given(st.text())
def test_slug_is_idempotent(text: str) -> None:
    key = slug(text)
    assert re.fullmatch(r"[a-z0-9_]+", key)
    assert len(key) <= LONGEST + 2
    assert slug(key) == key
    assert both_read(key) == (key, key)


@given(st.text(alphabet="0123456789._eExXoObB+-:tfynua", max_size=12))
def test_what_looks_like_a_number_is_text_for_both(text: str) -> None:
    assert both_read(slug(text)) == (slug(text), slug(text))
