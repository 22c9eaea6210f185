import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake.dvc_lockfile import (
    CutShortError,
    complete_entries,
    merge_entries,
    read_lock,
    stage_keys,
)

LONG = "designator_detections@" + "x" * 120
# As DVC writes it: a file, a folder, a command that is folded, and a name that is too long for a plain key.
TEXT = f"""schema: '2.0'
stages:
  extracted_frames@08:
    cmd: gotowce stage extracted_frames 08
    deps:
    - path: data/raw/08.mp4
      hash: md5
      md5: 2e9d5f14f1c76a1ed1d1e0d1f7d4f5aa
      size: 3005
    params:
      params.yaml:
        extracted_frames:
          fps: 5.0
          stall_s: 1e-05
    outs:
    - path: data/frames/08
      hash: md5
      md5: 0a0dd8a4e4ba42d6d4ff5b4e16b7f0d1.dir
      size: 60112
      nfiles: 12
  ? {LONG}
  : cmd: gotowce stage designator_detections {"x" * 120}
    outs:
    - path: data/detections/x.parquet
      hash: md5
      md5: 11d1b8f7f4a3c4a5d6c6f0ff7c1e4a55
      size: 5120
  evaluation:
    cmd: gotowce stage evaluation
    outs:
    - path: data/evaluation
      hash: md5
      md5: 77d1b8f7f4a3c4a5d6c6f0ff7c1e4a55.dir
      size: 901
      nfiles: 3
"""
ENTRIES = read_lock(TEXT)
NAMES = ["extracted_frames@08", LONG, "evaluation"]


def test_a_whole_file_is_read_as_dvc_means_it() -> None:
    assert list(ENTRIES) == NAMES
    assert ENTRIES["extracted_frames@08"]["params"]["params.yaml"]["extracted_frames"]["stall_s"] == 1e-05
    assert len(stage_keys(TEXT)) == 3
    assert read_lock("schema: '2.0'\nstages: {}\n") == {}


@pytest.mark.slow
def test_a_cut_at_any_byte_is_seen_or_lies_between_two_stages() -> None:
    for end in range(len(TEXT)):
        cut = TEXT[:end]
        try:
            entries = read_lock(cut)
        except CutShortError:
            pass
        else:
            assert end in {TEXT.index("  ? "), TEXT.index("  evaluation:")}
            assert len(stage_keys(cut)) == len(entries) < len(ENTRIES)
        # What survives is true, and misses at most the stage that was cut.
        kept = complete_entries(cut)
        assert kept == {name: ENTRIES[name] for name in NAMES[: len(kept)]}, end
        assert len(kept) >= len(stage_keys(cut)) - 1, end


@given(st.sets(st.sampled_from(NAMES)), st.integers(0, 3))
def test_newer_entries_replace_those_of_the_copy_in_its_order(in_copy: set[str], survived: int) -> None:
    good = {name: {"cmd": "old"} for name in NAMES if name in in_copy}
    cut = {name: {"cmd": "new"} for name in NAMES[:survived]}
    both = merge_entries(cut, good)
    assert list(both)[: len(good)] == list(good)
    assert both == {**good, **cut}


def test_a_stage_without_outputs_is_whole_where_dvc_yaml_has_none() -> None:
    text = "schema: '2.0'\nstages:\n  greet@a:\n    cmd: echo hello\n"
    with pytest.raises(CutShortError, match=r"greet@a: incomplete"):
        read_lock(text)
    assert list(read_lock(text, frozenset({"greet"}))) == ["greet@a"]


def test_a_merge_conflict_is_left_to_its_people() -> None:
    with pytest.raises(InputError, match=r"conflict.*git checkout --ours dvc\.lock"):
        read_lock(TEXT.replace("  evaluation:", "<<<<<<< HEAD\n  evaluation:"))
