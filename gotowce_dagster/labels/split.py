"""Leak-free split into training, validation and test frames.

Neighbouring frames of a video are nearly identical, so frames are never shuffled. A split consists of whole
recordings, or of time blocks with a gap between them. If two frames of different splits are still
near-duplicates, the one of the weaker split is left out (train before val before test). The split of a frame
depends on the seed, its video and its time only, so adding a video moves no other frame.
"""

import hashlib
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gotowce_dagster.config.params import DatasetParams
from gotowce_dagster.core.boxes import BOX, row_iou, xyxy
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.labels.reviewed import ReviewedFrames, decision_of, is_confirmed, is_usable

SPLITS = ("train", "val", "test")
_ORDERS = list(permutations(SPLITS))
_ROWS_AT_ONCE = 1024
_LEAST_GAP_S = 0.2
"""Smallest gap that is proposed where no split exists."""


def usable_frames(
    video: str, frames: pd.DataFrame, labels: pd.DataFrame, reviews: ReviewedFrames
) -> pd.DataFrame:
    """List the kept frames of one video, with what decides whether they may enter a dataset.

    A frame with a label that waits for review or was rejected shows an unconfirmed object. Without its box,
    the frame would teach the model that there is none, so the whole frame is left out, even if its other
    labels are accepted.

    A human reviewer vouches for the whole frame, or rejects the whole frame.

    Args:
        frames: Rows of tables.FRAMES.
        labels: Rows of tables.LABELS; every detection has one, except those that a human deleted.
        reviews: The reviewed frames; their labels are the reviewers' objects.

    Returns:
        One row per kept frame: video, frame_index, time_s, shot, phash, file, objects (0: no detection, a
        true negative), classes (tuple of names), x1, y1, x2, y2 around all objects (NaN without any),
        doubtful, rejected (by a human), reviewed (a human vouches for it), confirmed (the frame itself, not
        only its whole video), annotator (id of the human).
    """
    kept = frames[frames["kept"]].assign(video=video)
    groups = labels.groupby("frame_index")
    seen = pd.DataFrame(
        {
            "objects": groups.size(),
            "classes": groups["class_name"].agg(lambda names: tuple(sorted(set(names)))),
            **{side: groups[side].agg("min" if side[1] == "1" else "max") for side in BOX},
            "doubtful": groups["verdict"].agg(lambda verdicts: bool((verdicts != "accept").any())),
        }
    )
    rows = kept.merge(seen, left_on="frame_index", right_index=True, how="left")
    rows["objects"] = rows["objects"].fillna(0).astype("int32")
    rows["doubtful"] = rows["doubtful"].eq(True)
    rows["classes"] = [names if isinstance(names, tuple) else () for names in rows["classes"]]
    judged = [decision_of(reviews[index]) if index in reviews else None for index in rows["frame_index"]]
    rows["reviewed"] = [review is not None and is_usable(review) for review in judged]
    rows["rejected"] = [review is not None and not is_usable(review) for review in judged]
    rows["confirmed"] = [index in reviews and is_confirmed(reviews[index]) for index in rows["frame_index"]]
    rows["annotator"] = pd.array([review.annotator if review else None for review in judged], "Int64")
    columns = ["video", "frame_index", "time_s", "shot", "phash", "file", "objects", "classes", *BOX]
    return rows[[*columns, "doubtful", "rejected", "reviewed", "confirmed", "annotator"]].reset_index(
        drop=True
    )


def choose_negatives(frames: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Sample frames without objects so that they make up ``share`` of all frames, from every shot in turn.

    All frames that a human confirmed as empty are kept first: most had a wrong label. This does not include
    the empty frames of a reviewed video, which may be thousands.
    """
    empty = frames["objects"] == 0
    confirmed = int((empty & frames["confirmed"]).sum())
    wanted = max(confirmed, round(share / (1 - share) * int((~empty).sum())))
    draws = [_unit(seed, row.video, row.frame_index) for row in frames[empty].itertuples()]
    drawn = frames[empty].assign(lot=draws)
    drawn["turn"] = drawn.groupby(["video", "shot"])["lot"].rank(method="first")
    chosen = drawn.sort_values(["confirmed", "turn", "lot"], ascending=[False, True, True]).index[:wanted]
    return frames[~empty | frames.index.isin(chosen)].reset_index(drop=True)


def choose_unknown(frames: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """Sample at most ``limit`` frames without known targets, from every shot in turn."""
    lots = [
        _unit(seed, video, index) for video, index in zip(frames["video"], frames["frame_index"], strict=True)
    ]
    drawn = frames.assign(lot=lots)
    drawn["turn"] = drawn.groupby(["video", "shot"])["lot"].rank(method="first")
    return frames.loc[drawn.sort_values(["turn", "lot"]).index[:limit]]


def split_frames(frames: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Assign each frame to a split, or give the reason why it is left out.

    Args:
        frames: From usable_frames, of all videos, with profile (frames of one profile are of one game) and
            unknown (its targets are not known, so it can serve for training only).

    Returns:
        The frames with split (empty if left out), left_out (``gap``, ``near-duplicate``, ``unknown`` or
        empty), block (contiguous part of its video) and cluster (shared by near-duplicates).

    Raises:
        InputError: No allowed method separates the splits and leaves objects in each of them.
    """
    if not (frames["objects"] > 0).any():
        raise InputError("no dataset: no frame has accepted labels only; see the reasons in data/labels")
    frames = frames.sort_values(["video", "frame_index"], ignore_index=True)
    methods = ("recording", "blocks") if params.split_by == "auto" else (params.split_by,)
    problems = []
    for method in methods:
        settled, lost = _split_by(method, frames, params)
        # Whole recordings are the better split, but only if every split then has every class.
        if not (missing := _missing(settled, every_class=method != methods[-1])):
            return settled
        problems.append(f"by {method}: {', '.join(missing + lost)}")
    raise InputError(f"no leak-free split: {'; '.join(problems)}. {_way_out(frames, params)}")


def _split_by(method: str, frames: pd.DataFrame, params: DatasetParams) -> tuple[pd.DataFrame, list[str]]:
    """Split by one method; beside the frames, what was left out of those with objects, in words."""
    planned = _METHODS[method](frames, params)
    # Frames with unknown targets measure nothing; as test frames they would only displace others.
    idle = planned["unknown"] & (planned["split"] != "train")
    rest = planned[~idle].reset_index(drop=True)
    settled = _settle(rest, _near_duplicates(rest, params.near_duplicate_bits), params.gap_s)
    lost = settled.loc[settled["objects"] > 0, "left_out"].value_counts()
    words = {
        "near-duplicate": "show almost the same as a frame of another split",
        "gap": f"are within gap_s ({params.gap_s:g} s) of one",
    }
    reasons = [
        f"{lost[reason]} frames with objects {text}" for reason, text in words.items() if reason in lost
    ]
    settled = pd.concat([settled, planned[idle].assign(split="", left_out="unknown", cluster=-1)])
    return settled, reasons


def _way_out(frames: pd.DataFrame, params: DatasetParams) -> str:
    """What to do if there is no split: the mildest settings that make one of these frames, if any do."""
    lower = [float(f"{params.gap_s / 2**halvings:.2g}") for halvings in range(1, 10)]
    for bits in dict.fromkeys((params.near_duplicate_bits, None)):
        for gap_s in (params.gap_s, *(gap for gap in lower if gap >= _LEAST_GAP_S)):
            update = {"split_by": "blocks", "gap_s": gap_s, "near_duplicate_bits": bits}
            settled, _ = _split_by("blocks", frames, params.model_copy(update=update))
            if _missing(settled, every_class=False):
                continue
            counts = settled[settled["objects"] > 0]["split"].value_counts()
            changes = {key: value for key, value in update.items() if value != getattr(params, key)}
            if params.split_by == "auto":
                changes.pop("split_by", None)
            wanted = ", ".join(
                f"{key}: {'null' if value is None else value}" for key, value in changes.items()
            )
            parts = ", ".join(f"{counts[split]} for {split}" for split in SPLITS)
            caution = (
                ". Splits then show almost the same, so the figures say nothing about other footage"
                if bits is None
                else ""
            )
            return (
                "Best add recordings of other scenes. To go on with these frames, set below yolo_dataset in "
                f"params.yaml {wanted}: {parts}{caution}"
            )
    return "Add recordings, accept more labels or sample more frames (extracted_frames.fps)"


def find_leaks(provenance: pd.DataFrame, params: DatasetParams) -> list[str]:
    """Check a dataset for leaks between splits, independently of how it was split.

    Args:
        provenance: Rows of tables.PROVENANCE.

    Returns:
        One sentence per kind of leak; empty if there is none.
    """
    twins = provenance[provenance["kind"] == "erased"]
    frames = provenance[provenance["kind"] != "erased"].reset_index(drop=True)
    leaks = []
    apart = twins.merge(frames, on=["video", "frame_index"], suffixes=("", "_of"), how="left")
    if not (astray := apart[apart["split"] != apart["split_of"]]).empty:
        leaks.append(f"{_name(astray.iloc[0])} without its mark lies in another split than with it")
    repeated = frames[frames.duplicated(["video", "frame_index"], keep=False)]
    if not repeated.empty:
        leaks.append(f"{_name(repeated.iloc[0])} is in the dataset more than once")
    one, other = _near_duplicates(frames, params.near_duplicate_bits)
    across = frames["split"].to_numpy()[one] != frames["split"].to_numpy()[other]
    if across.any():
        first = frames.iloc[one[across][0]], frames.iloc[other[across][0]]
        leaks.append(
            f"{_name(first[0])} ({first[0]['split']}) and {_name(first[1])} ({first[1]['split']}) are "
            f"near-duplicates; {int(across.sum())} such pairs"
        )
    straddling = frames.groupby("cluster")["split"].nunique()
    if (straddling > 1).any():
        leaks.append(f"cluster {straddling.idxmax()} of near-duplicates is in several splits")
    ordered = frames.sort_values(["video", "time_s"])
    before = ordered.groupby("video")[["split", "time_s"]].shift()
    close = before["split"].notna() & (before["split"] != ordered["split"])
    close &= ordered["time_s"] - before["time_s"] < params.gap_s - 1e-6
    if close.any():
        row = ordered[close].iloc[0]
        leaks.append(
            f"{_name(row)} ({row['split']}) is less than {params.gap_s:g} s after a frame of "
            f"{before[close].iloc[0]['split']}; {int(close.sum())} such places"
        )
    if params.split_by == "recording" and (frames.groupby("video")["split"].nunique() > 1).any():
        leaks.append("a recording is in several splits")
    return leaks


def _by_recording(frames: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Assign whole recordings to splits, by a hash of their name."""
    edges = np.cumsum([params.shares[split] for split in SPLITS])[:-1]
    drawn = {
        video: SPLITS[int(np.searchsorted(edges, _unit(params.seed, video), side="right"))]
        for video in frames["video"].unique()
    }
    return frames.assign(split=frames["video"].map(drawn), block=0)


def _by_blocks(frames: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Cut recordings into time blocks: in each cycle one per split, in an order drawn by a hash."""
    pieces = [_cut(rows, str(video), params) for video, rows in frames.groupby("video", sort=True)]
    return pd.concat(pieces, ignore_index=True)


def _cut(rows: pd.DataFrame, video: str, params: DatasetParams) -> pd.DataFrame:
    """Cut one recording so that its frames with objects are divided by the shares."""
    has_objects = rows["objects"] > 0
    moments = np.sort(rows.loc[has_objects if has_objects.any() else rows.index, "time_s"].to_numpy())
    cycles = max(1, round((moments[-1] - moments[0]) / params.cycle_s))
    order = [
        split
        for cycle in range(cycles)
        for split in _ORDERS[int(_unit(params.seed, video, cycle) * len(_ORDERS))]
    ]
    parts = np.cumsum([params.shares[split] / cycles for split in order])[:-1]
    first = np.clip(np.round(parts * len(moments)).astype(int), 1, len(moments) - 1)
    edges = (moments[first - 1] + moments[first]) / 2
    split = pd.Series(order).iloc[np.searchsorted(edges, rows["time_s"])].to_numpy()
    changes = np.r_[0, np.cumsum(split[1:] != split[:-1])]
    return rows.assign(split=split, block=changes)


_METHODS: dict[str, Callable[[pd.DataFrame, DatasetParams], pd.DataFrame]] = {
    "recording": _by_recording,
    "blocks": _by_blocks,
}


def _settle(frames: pd.DataFrame, pairs: tuple[np.ndarray, np.ndarray], gap_s: float) -> pd.DataFrame:
    """Leave out frames too close to a stronger split, and number the clusters of the others."""
    rank = frames["split"].map(SPLITS.index).to_numpy()
    left_out = np.full(len(frames), "", dtype=object)
    left_out[_near_in_time(frames, rank, gap_s)] = "gap"
    one, other = pairs
    weaker = np.where(rank[one] < rank[other], one, other)[rank[one] != rank[other]]
    left_out[weaker] = "near-duplicate"
    stays = left_out == ""
    both = stays[one] & stays[other]
    graph = coo_array((np.ones(both.sum()), (one[both], other[both])), shape=(len(frames),) * 2)
    _, cluster = connected_components(graph, directed=False)
    return frames.assign(split=np.where(stays, frames["split"], ""), left_out=left_out, cluster=cluster)


def _near_in_time(frames: pd.DataFrame, rank: np.ndarray, gap_s: float) -> np.ndarray:
    """Whether each frame is closer than ``gap_s`` to a frame of a stronger split in its video: bool (n,)."""
    near = np.zeros(len(frames), dtype=bool)
    for rows in frames.groupby("video").indices.values():
        times = frames["time_s"].to_numpy()[rows]
        for stronger in range(1, len(SPLITS)):
            strong = np.r_[-np.inf, np.sort(times[rank[rows] >= stronger]), np.inf]
            after = np.searchsorted(strong, times)
            distance = np.minimum(times - strong[after - 1], strong[after] - times)
            near[rows] |= (rank[rows] < stronger) & (distance < gap_s)
    return near


def _near_duplicates(frames: pd.DataFrame, bits: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs of near-duplicate frames: similar hashes, equally many objects, at the same place.

    The hash alone is not enough: a 64-bit perceptual hash reacts to a game's panels and background, and
    hardly to a target of 20 pixels. None of ``bits``: no pairs.
    """
    if bits is None:
        return np.zeros(0, int), np.zeros(0, int)
    known = np.flatnonzero(frames["phash"].notna())
    hashes = np.array([int(text, 16) for text in frames["phash"].iloc[known]], dtype=np.uint64)
    ones, others = [np.zeros(0, int)], [np.zeros(0, int)]
    for start in range(0, len(known), _ROWS_AT_ONCE):
        some = hashes[start : start + _ROWS_AT_ONCE, None]
        row, column = np.nonzero(np.bitwise_count(some ^ hashes[None]) <= bits)
        upper = column > row + start
        ones.append(known[row[upper] + start])
        others.append(known[column[upper]])
    one, other = np.concatenate(ones), np.concatenate(others)
    count, boxes = frames["objects"].to_numpy(), xyxy(frames)
    same = (count[one] == count[other]) & ((count[one] == 0) | (row_iou(boxes[one], boxes[other]) >= 0.5))
    return one[same], other[same]


def _missing(frames: pd.DataFrame, every_class: bool) -> list[str]:
    """List splits without an object; with ``every_class``, list each class and game that a split lacks."""
    with_objects = frames[frames["objects"] > 0]
    classes = set(frames["classes"].explode().dropna())
    games = set(with_objects["profile"])
    missing = []
    for split in SPLITS:
        present = set(frames.loc[frames["split"] == split, "classes"].explode().dropna())
        if every_class and present:
            seen = set(with_objects.loc[with_objects["split"] == split, "profile"])
            missing += [f"{split} has no {name}" for name in sorted(classes - present)]
            missing += [f"{split} has no object of {name}" for name in sorted(games - seen)]
        elif not present:
            missing.append(f"{split} has no object")
    return missing


def _unit(seed: int, *names: object) -> float:
    """A pseudo-random number from 0 to 1, determined by the seed and the names."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def _name(row: pd.Series) -> str:
    return f"{row['video']} frame {row['frame_index']}"
