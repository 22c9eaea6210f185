import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.config.params import DatasetParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.labels.split import (
    SPLITS,
    choose_negatives,
    find_leaks,
    split_frames,
    usable_frames,
)

PARAMS = DatasetParams(
    seed=1,
    split_by="auto",
    shares={"train": 0.7, "val": 0.15, "test": 0.15},
    cycle_s=60,
    gap_s=2,
    near_duplicate_bits=2,
    negative_share=0.2,
    unknown_frames=200,
    polygons=False,
)


def _recording(
    video: str, count: int, classes: tuple[str, ...] = ("hostile",), fps: float = 2.0
) -> pd.DataFrame:
    """Frames that all look different, each with one object of a class in turn (none for an empty name)."""
    rng = np.random.default_rng([*video.encode()])
    names = [classes[number * len(classes) // count] for number in range(count)]
    x = 10.0 * np.arange(count)
    seen = np.array([bool(name) for name in names])
    return pd.DataFrame(
        {
            "video": video,
            "frame_index": np.arange(count) * 10,
            "time_s": np.arange(count) / fps,
            "shot": np.arange(count) // 10,
            "phash": [f"{value:016x}" for value in rng.integers(0, 2**63, count)],
            "file": "x.jpg",
            "kind": "as-is",
            "profile": "game",
            "unknown": False,
            "objects": seen.astype("int32"),
            "classes": [(name,) if name else () for name in names],
            "x1": np.where(seen, x, np.nan),
            "y1": np.where(seen, 0, np.nan),
            "x2": np.where(seen, x + 8, np.nan),
            "y2": np.where(seen, 8, np.nan),
            "reviewed": False,
            "confirmed": False,
        }
    )


def _used(settled: pd.DataFrame) -> pd.DataFrame:
    return settled[settled["split"] != ""]


@pytest.mark.parametrize(
    ("count", "fps", "gap_s", "what"),
    [
        (50, 2.0, 2.0, "a clip of 25 s"),
        (50, 2.0, 0.0, "no gap asked"),
        (600, 2.0, 2.0, "five minutes: several cycles"),
        (12, 1.0, 1.0, "few frames"),
        (900, 30.0, 2.0, "every frame of half a minute"),
    ],
)
def test_one_recording_is_cut_by_time(count: int, fps: float, gap_s: float, what: str) -> None:
    params = PARAMS.model_copy(update={"gap_s": gap_s})
    settled = split_frames(_recording("a", count, fps=fps), params)
    used = _used(settled)
    assert set(used["split"]) == set(SPLITS), what
    assert find_leaks(used, params) == [], what
    # Measured here without the code under test: no two splits come nearer than the gap.
    times = {split: used.loc[used["split"] == split, "time_s"].to_numpy() for split in SPLITS}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert np.abs(times[one][:, None] - times[other]).min() >= max(gap_s, 1 / fps) - 1e-9, what
    # Within a block nothing of another split lies.
    assert (used.groupby("block")["split"].nunique() == 1).all(), what
    if gap_s == 0:
        assert len(used) == count
        assert (used["split"] == "train").mean() == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(("seed", "shuffled"), [(1, False), (1, True), (7, True)])
def test_the_seed_alone_decides(seed: int, shuffled: bool) -> None:
    params = PARAMS.model_copy(update={"seed": seed})
    frames = pd.concat([_recording("b", 60), _recording("a", 60)], ignore_index=True)
    again = frames.sample(frac=1, random_state=3) if shuffled else frames.copy()
    columns = ["video", "frame_index", "split", "block", "left_out"]
    pd.testing.assert_frame_equal(split_frames(frames, params)[columns], split_frames(again, params)[columns])


@pytest.mark.slow
@given(st.lists(st.sampled_from("bcdefghij"), min_size=1, max_size=6, unique=True), st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_adding_videos_moves_no_old_frame(more: list[str], seed: int) -> None:
    params = PARAMS.model_copy(update={"seed": seed, "split_by": "blocks"})
    alone = split_frames(_recording("a", 80), params)
    together = split_frames(pd.concat([_recording(video, 80) for video in ["a", *more]]), params)
    columns = ["frame_index", "split", "block"]
    old = together.loc[together["video"] == "a", columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, alone[columns])


def test_recordings_stay_whole_and_keep_their_split_when_one_is_added() -> None:
    params = PARAMS.model_copy(update={"split_by": "recording"})
    names = [f"clip-{number}" for number in range(14)]
    few = split_frames(pd.concat([_recording(name, 10) for name in names[:12]]), params)
    more = split_frames(pd.concat([_recording(name, 10) for name in names]), params)
    assert set(few["split"]) == set(SPLITS)
    assert (few.groupby("video")["split"].nunique() == 1).all()
    places = more.groupby("video")["split"].first()
    assert (places[few["video"].unique()] == few.groupby("video")["split"].first()).all()
    assert find_leaks(few, params) == []


@pytest.mark.parametrize(
    ("videos", "expected"),
    [
        ({f"clip-{number}": ("hostile",) for number in range(12)}, 1),
        ({f"clip-{number}": ("hostile",) for number in range(2)}, 3),
        ({**{f"clip-{number}": ("hostile",) for number in range(12)}, "last": ("neutral",)}, 3),
    ],
    ids=["enough recordings: whole", "two recordings: blocks", "a class in one recording: blocks"],
)
def test_auto(videos: dict[str, tuple[str, ...]], expected: int) -> None:
    frames = pd.concat([_recording(video, 60, classes) for video, classes in videos.items()])
    used = _used(split_frames(frames, PARAMS))
    assert used.groupby("video")["split"].nunique().max() == expected
    assert find_leaks(used, PARAMS) == []


@pytest.mark.parametrize(
    ("frames", "update", "message"),
    [
        (_recording("a", 60, ("",)), {}, "no frame has accepted labels only"),
        (_recording("a", 2), {}, "no leak-free split: by recording: .*; by blocks: .*has no object"),
        (_recording("a", 20), {"gap_s": 60}, "train has no object.*gap_s .60 s"),
        (
            _recording("a", 60),
            {"split_by": "recording"},
            "no leak-free split: by recording: .* has no object",
        ),
    ],
    ids=[
        "nothing accepted",
        "two frames",
        "a gap longer than the clip",
        "one recording cannot be whole in three",
    ],
)
def test_an_impossible_split_is_an_error(frames: pd.DataFrame, update: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_frames(frames, PARAMS.model_copy(update=update))


def _still(count: int) -> pd.DataFrame:
    """A recording of a scene in which nothing moves."""
    return _recording("a", count).assign(phash="0" * 16, x1=0.0, x2=8.0)


@pytest.mark.parametrize(
    ("frames", "update", "reason", "advice"),
    [
        (_recording("a", 14), {}, "[0-9] frames with objects are within gap_s .2 s. of one", {"gap_s": 1.0}),
        (_still(14), {}, "12 frames .* show almost the same", {"near_duplicate_bits": None, "gap_s": 1.0}),
        (_recording("a", 60), {"split_by": "recording"}, "has no object", {"split_by": "blocks"}),
    ],
    ids=["seven seconds", "a scene that stands still", "one recording"],
)
def test_advice_of_an_impossible_split_makes_one(
    frames: pd.DataFrame, update: dict, reason: str, advice: dict
) -> None:
    params = PARAMS.model_copy(update=update)
    with pytest.raises(InputError, match=reason) as error:
        split_frames(frames, params)
    for key, value in advice.items():
        assert f"{key}: {'null' if value is None else value}" in str(error.value)
    followed = params.model_copy(update=advice)
    used = _used(split_frames(frames, followed))
    assert find_leaks(used, followed) == []
    for split, count in used["split"].value_counts().items():
        assert f"{count} for {split}" in str(error.value)


def test_two_frames_are_no_split_by_any_setting() -> None:
    with pytest.raises(InputError, match="Add recordings, accept more labels or sample more frames"):
        split_frames(_recording("a", 2), PARAMS)


def test_the_same_clip_under_two_names_does_not_leak() -> None:
    first = _recording("a", 60)
    params = PARAMS.model_copy(update={"split_by": "blocks"})
    settled = split_frames(pd.concat([first, first.assign(video="the same")]), params)
    used = _used(settled)
    assert find_leaks(used, params) == []
    assert (settled["left_out"] == "near-duplicate").any()
    assert (used.groupby("frame_index")["split"].nunique() == 1).all()
    assert (used.groupby("cluster")["split"].nunique() == 1).all()
    twice = used["frame_index"].duplicated(keep=False)
    assert (used[twice].groupby("frame_index")["cluster"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("phash", "moved", "leaks"),
    [("0" * 16, 0, True), ("0" * 15 + "3", 0, True), ("0" * 15 + "7", 0, False), ("0" * 16, 6, False)],
    ids=["same hash, same place", "two bits", "three bits", "same hash, object elsewhere"],
)
def test_near_duplicates(phash: str, moved: float, leaks: bool) -> None:
    frames = _recording("a", 60)
    pair = frames.iloc[[0, 59]].copy()
    pair["phash"], pair[["x1", "x2"]] = ["0" * 16, phash], [[0, 8], [moved, moved + 8]]
    pair["split"], pair["cluster"] = ["train", "test"], [0, 1]
    assert bool(find_leaks(pair, PARAMS)) == leaks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: pd.concat([rows, rows.iloc[[0]].assign(split="test")]),
            "a frame 0 is in .* more than once",
        ),
        (lambda rows: rows.assign(split=["train", "val"] * 30), "a frame 10 .val. is less than 2 s after"),
        (
            lambda rows: rows.assign(split=["train"] * 30 + ["test"] * 30, cluster=0),
            "cluster 0 .* several splits",
        ),
    ],
    ids=["one frame twice", "frames shuffled", "a cluster straddles"],
)
def test_find_leaks_sees(change, message: str) -> None:
    rows = _recording("a", 60).assign(split="train", cluster=np.arange(60))
    assert find_leaks(rows, PARAMS) == []
    assert any(pd.Series(find_leaks(change(rows), PARAMS)).str.contains(message))


def test_negatives_come_from_every_shot_and_stay() -> None:
    empty = _recording("c", 40, ("",))
    frames = pd.concat([_recording("a", 40), empty], ignore_index=True)
    chosen = choose_negatives(frames, 0.2, seed=1)
    negatives = chosen[chosen["objects"] == 0]
    assert len(negatives) == 10
    assert (negatives.groupby("shot").size().reindex(range(4), fill_value=0) >= 2).all()
    more = choose_negatives(frames, 0.4, seed=1)
    assert set(negatives["frame_index"]) < set(more.loc[more["objects"] == 0, "frame_index"])
    assert (choose_negatives(frames, 0.0, seed=1)["objects"] > 0).all()


def test_negatives_confirmed_by_a_human_all_stay() -> None:
    empty = _recording("c", 40, ("",)).assign(confirmed=[number % 8 == 0 for number in range(40)])
    frames = pd.concat([_recording("a", 8), empty], ignore_index=True)
    for share in (0.0, 0.2, 0.8):
        chosen = choose_negatives(frames, share, seed=1).query("objects == 0")
        assert chosen["confirmed"].sum() == 5
        assert len(chosen) == max(5, round(share / (1 - share) * 8))


def test_usable_frames() -> None:
    frames = pd.DataFrame(
        {
            "frame_index": [0, 10, 20, 30],
            "time_s": [0.0, 0.5, 1.0, 1.5],
            "shot": 0,
            "phash": "0" * 16,
            "kept": [True, True, True, False],
            "file": ["a.jpg", "b.jpg", "c.jpg", ""],
        }
    )
    labels = pd.DataFrame(
        {
            "frame_index": [10, 10, 20, 30],
            "class_name": ["hostile", "neutral", "hostile", "hostile"],
            "x1": [5.0, 50, 1, 1],
            "y1": [5.0, 2, 1, 1],
            "x2": [9.0, 60, 2, 2],
            "y2": [9.0, 8, 2, 2],
            "verdict": ["accept", "accept", "review", "accept"],
        }
    )
    rows = usable_frames("a", frames, labels, {})
    assert list(rows["frame_index"]) == [0, 10, 20]
    assert list(rows["objects"]) == [0, 2, 1]
    assert list(rows["doubtful"]) == [False, False, True]
    assert list(rows["classes"]) == [(), ("hostile", "neutral"), ("hostile",)]
    assert rows.loc[1, BOX].tolist() == [5, 2, 60, 9]
    assert rows.loc[0, ["x1"]].isna().all()
