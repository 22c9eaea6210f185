"""Training, validation and test frames that have nothing in common.

Neighbouring frames of a video are nearly the same picture, so frames are never shuffled. A split is made
of whole recordings, or of stretches of time with a gap between them; where two frames of different splits
still show the same, the one of the weaker split is left out (train before val before test). Every frame's
place follows from the seed, its own video and its time alone, so adding a video moves no other frame.
"""

import hashlib
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gotowce_dagster.config.params import DatasetParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.labels.reviewed import Said, decision_of, is_confirmed, is_usable

SPLITS = ("train", "val", "test")
_BOX = ["x1", "y1", "x2", "y2"]
_ORDERS = list(permutations(SPLITS))
_ROWS_AT_ONCE = 1024


def usable_frames(video: str, frames: pd.DataFrame, labels: pd.DataFrame, said: Said) -> pd.DataFrame:
    """The kept frames of one video that may enter a dataset, and why others may not.

    A frame with a label that waits for review or was rejected shows an object nobody vouches for. Without
    its box it would teach that there is nothing, so it is left out, accepted neighbours and all.

    A human who judged a frame vouches for all of it, or rejects all of it.

    Args:
        frames: rows of tables.FRAMES.
        labels: rows of tables.LABELS; every detection has one, but for those that a human took away.
        said: the frames that a human judged; their labels are what the human left.

    Returns:
        One row a kept frame: video, frame_index, time_s, shot, phash, file, objects (0: nothing was
        detected, a true negative), classes (tuple of names), x1, y1, x2, y2 around all objects (NaN
        without any), doubtful, rejected (by a human), reviewed (a human vouches for it), confirmed (for
        this very frame, not only for its whole video), annotator (who).
    """
    kept = frames[frames["kept"]].assign(video=video)
    groups = labels.groupby("frame_index")
    seen = pd.DataFrame(
        {
            "objects": groups.size(),
            "classes": groups["class_name"].agg(lambda names: tuple(sorted(set(names)))),
            **{side: groups[side].agg("min" if side[1] == "1" else "max") for side in _BOX},
            "doubtful": groups["verdict"].agg(lambda verdicts: bool((verdicts != "accept").any())),
        }
    )
    rows = kept.merge(seen, left_on="frame_index", right_index=True, how="left")
    rows["objects"] = rows["objects"].fillna(0).astype("int32")
    rows["doubtful"] = rows["doubtful"].eq(True)
    rows["classes"] = [names if isinstance(names, tuple) else () for names in rows["classes"]]
    judged = [decision_of(said[index]) if index in said else None for index in rows["frame_index"]]
    rows["reviewed"] = [review is not None and is_usable(review) for review in judged]
    rows["rejected"] = [review is not None and not is_usable(review) for review in judged]
    rows["confirmed"] = [index in said and is_confirmed(said[index]) for index in rows["frame_index"]]
    rows["annotator"] = pd.array([review.annotator if review else None for review in judged], "Int64")
    columns = ["video", "frame_index", "time_s", "shot", "phash", "file", "objects", "classes", *_BOX]
    return rows[[*columns, "doubtful", "rejected", "reviewed", "confirmed", "annotator"]].reset_index(
        drop=True
    )


def choose_negatives(frames: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Keep so many frames without objects that they make ``share`` of all, taken from every shot in turn.

    Those that a human confirmed as empty come first and all stay: most showed a wrong label. Not so all the
    frames of a reviewed video between its objects' lives, which may be thousands.
    """
    empty = frames["objects"] == 0
    confirmed = int((empty & frames["confirmed"]).sum())
    wanted = max(confirmed, round(share / (1 - share) * int((~empty).sum())))
    lots = [_unit(seed, row.video, row.frame_index) for row in frames[empty].itertuples()]
    drawn = frames[empty].assign(lot=lots)
    drawn["turn"] = drawn.groupby(["video", "shot"])["lot"].rank(method="first")
    chosen = drawn.sort_values(["confirmed", "turn", "lot"], ascending=[False, True, True]).index[:wanted]
    return frames[~empty | frames.index.isin(chosen)].reset_index(drop=True)


def split_frames(frames: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Give every frame its split, or the reason why it is left out.

    Args:
        frames: as from usable_frames, of all videos.

    Returns:
        The frames with split (empty where left out), left_out (``gap``, ``near-duplicate`` or empty),
        block (contiguous stretch of its video) and cluster (near-duplicates share one).

    Raises:
        InputError: no way that is allowed keeps the splits apart and leaves objects in each of them.
    """
    if not (frames["objects"] > 0).any():
        raise InputError("no dataset: no frame has only accepted labels; see the reasons in data/labels")
    frames = frames.sort_values(["video", "frame_index"], ignore_index=True)
    ways = ("recording", "blocks") if params.split_by == "auto" else (params.split_by,)
    problems = []
    pairs = _twins(frames, params.near_duplicate_bits)
    for way in ways:
        planned = _WAYS[way](frames, params)
        settled = _settle(planned, pairs, params.gap_s)
        # Whole recordings are the better split, but only where they leave no class unmeasured.
        if not (lacking := _lacking(settled, every_class=way != ways[-1])):
            return settled
        problems.append(f"by {way}: {', '.join(lacking)}")
    raise InputError(
        f"no leak-free split: {'; '.join(problems)}. Add recordings, accept more labels, sample more frames "
        f"(extracted_frames.fps), or lower yolo_dataset.gap_s ({params.gap_s:g} s) or cycle_s "
        f"({params.cycle_s:g} s) in params.yaml; frames are never shuffled"
    )


def find_leaks(provenance: pd.DataFrame, params: DatasetParams) -> list[str]:
    """Look for anything that two splits share, without trusting how the split was made.

    Args:
        provenance: rows of tables.PROVENANCE.

    Returns:
        One sentence a kind of leak; empty when there is none.
    """
    frames = provenance.reset_index(drop=True)
    leaks = []
    repeated = frames[frames.duplicated(["video", "frame_index"], keep=False)]
    if not repeated.empty:
        leaks.append(f"{_name(repeated.iloc[0])} is in the dataset more than once")
    one, other = _twins(frames, params.near_duplicate_bits)
    across = frames["split"].to_numpy()[one] != frames["split"].to_numpy()[other]
    if across.any():
        first = frames.iloc[one[across][0]], frames.iloc[other[across][0]]
        leaks.append(
            f"{_name(first[0])} ({first[0]['split']}) and {_name(first[1])} ({first[1]['split']}) show the "
            f"same; {int(across.sum())} such pairs"
        )
    straddling = frames.groupby("cluster")["split"].nunique()
    if (straddling > 1).any():
        leaks.append(f"cluster {straddling.idxmax()} of near-duplicates lies in several splits")
    ordered = frames.sort_values(["video", "time_s"])
    before = ordered.groupby("video")[["split", "time_s"]].shift()
    close = before["split"].notna() & (before["split"] != ordered["split"])
    close &= ordered["time_s"] - before["time_s"] < params.gap_s - 1e-6
    if close.any():
        row = ordered[close].iloc[0]
        leaks.append(
            f"{_name(row)} ({row['split']}) comes less than {params.gap_s:g} s after a frame of "
            f"{before[close].iloc[0]['split']}; {int(close.sum())} such places"
        )
    if params.split_by == "recording" and (frames.groupby("video")["split"].nunique() > 1).any():
        leaks.append("a recording lies in several splits")
    return leaks


def _by_recording(frames: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Each recording whole in the split that a hash of its name draws."""
    edges = np.cumsum([params.shares[split] for split in SPLITS])[:-1]
    drawn = {
        video: SPLITS[int(np.searchsorted(edges, _unit(params.seed, video), side="right"))]
        for video in frames["video"].unique()
    }
    return frames.assign(split=frames["video"].map(drawn), block=0)


def _by_blocks(frames: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Each recording cut into stretches: in every cycle one a split, in an order that a hash draws."""
    pieces = [_cut(rows, str(video), params) for video, rows in frames.groupby("video", sort=True)]
    return pd.concat(pieces, ignore_index=True)


def _cut(rows: pd.DataFrame, video: str, params: DatasetParams) -> pd.DataFrame:
    """Cut one recording where its frames with objects are divided as the shares ask."""
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


_WAYS: dict[str, Callable[[pd.DataFrame, DatasetParams], pd.DataFrame]] = {
    "recording": _by_recording,
    "blocks": _by_blocks,
}


def _settle(frames: pd.DataFrame, pairs: tuple[np.ndarray, np.ndarray], gap_s: float) -> pd.DataFrame:
    """Leave out what is too near a stronger split, and number the clusters of what remains."""
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
    """Whether each frame is nearer than ``gap_s`` to one of a stronger split in its own video."""
    near = np.zeros(len(frames), dtype=bool)
    for rows in frames.groupby("video").indices.values():
        times = frames["time_s"].to_numpy()[rows]
        for stronger in range(1, len(SPLITS)):
            strong = np.r_[-np.inf, np.sort(times[rank[rows] >= stronger]), np.inf]
            after = np.searchsorted(strong, times)
            distance = np.minimum(times - strong[after - 1], strong[after] - times)
            near[rows] |= (rank[rows] < stronger) & (distance < gap_s)
    return near


def _twins(frames: pd.DataFrame, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of frames that show the same: hashes nearly equal, as many objects, at one place.

    The hash alone would not do: a perceptual hash of 64 bits sees a game's panels and its background, and
    hardly a target of 20 pixels.
    """
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
    count, boxes = frames["objects"].to_numpy(), frames[_BOX].to_numpy(dtype=float)
    same = (count[one] == count[other]) & ((count[one] == 0) | (_iou(boxes[one], boxes[other]) >= 0.5))
    return one[same], other[same]


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each box of ``a`` with the one beside it in ``b``: (n, 4), (n, 4) -> (n,)."""
    shared = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(axis=1)
    areas = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1)
    return shared / (areas - shared)


def _lacking(frames: pd.DataFrame, every_class: bool) -> list[str]:
    """What the splits need and do not have; with ``every_class``, of every class in every split."""
    classes = set(frames["classes"].explode().dropna())
    lacking = []
    for split in SPLITS:
        held = set(frames.loc[frames["split"] == split, "classes"].explode().dropna())
        lacking += [f"{split} has no {name}" for name in sorted(classes - held)] if every_class else []
        lacking += [] if held or every_class else [f"{split} has no object"]
    return lacking


def _unit(seed: int, *names: object) -> float:
    """A number from 0 to 1 that the names alone decide."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def _name(row: pd.Series) -> str:
    return f"{row['video']} frame {row['frame_index']}"
