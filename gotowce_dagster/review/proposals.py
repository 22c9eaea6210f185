"""Proposals of training in rounds for unmarked targets, as questions for reviewers."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from gotowce_dagster.config.params import RoundsParams
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.safe_names import safe_name
from gotowce_dagster.core.tables import FRAMES, read_table, records
from gotowce_dagster.labels.export import class_names
from gotowce_dagster.labels.followed import reviewed_until
from gotowce_dagster.labels.reviewed import current_reviews
from gotowce_dagster.labels.reviews import FIRST_PROPOSAL, read_reviewed
from gotowce_dagster.training.proposals import questions

Rows = Mapping[tuple[str, int], list[dict[str, Any]]]
"""Proposals by (video, frame_index): the columns of tables.LABELS that a task needs, and ``proposed_by``."""


def read_questions(paths: Paths, videos: Collection[str], params: RoundsParams) -> pd.DataFrame:
    """The proposals to review: those that the last round adopted, and those tracked over frames at a low
    confidence.

    Reviewed frames are left out.

    Returns:
        round, video, frame_index, class_name, the box, confidence, use and held.

    Raises:
        InputError: there is no model, or it was not trained in rounds.
    """
    file = paths.model / "proposed.csv"
    if not file.exists():
        raise InputError(
            f"{file}: not found; run `gotowce rounds 1`: only training in rounds proposes targets "
            "(params.yaml: finetuned_model.crops and rounds)"
        )
    table = pd.read_csv(file, dtype={"video": str})
    for name in table["video"].unique():
        safe_name(name)
    is_open = pd.Series(False, table.index)
    for video in set(table["video"]) & set(videos):
        index = read_table(paths.frame_index(video), FRAMES)
        judged = current_reviews(read_reviewed(paths.reviewed(video)), index, paths.frames(video))
        until = reviewed_until(paths.reviewed_tracks(video))
        asked = index[index["kept"] & (index["frame_index"] >= until)]["frame_index"]
        is_open |= (table["video"] == video) & table["frame_index"].isin(set(asked) - set(judged))
    table = table[is_open]
    table = table[(table["round"] == table["round"].max())]
    table = pd.concat([table[table["use"] == "adopted"], questions(table, params)]).sort_index()
    names = class_names(paths.dataset)
    return table.assign(class_name=[names[number] for number in table["class_id"]])


def rows_of(asked: pd.DataFrame) -> Rows:
    """The proposals as rows for tasks, each with a sentence on its origin."""
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in records(asked):
        of_frame = rows.setdefault((row["video"], row["frame_index"]), [])
        of_frame.append(
            {
                "detection_id": FIRST_PROPOSAL + len(of_frame),
                "class_name": row["class_name"],
                **{side: row[side] for side in BOX},
                "rle": None,
                "quality": float(row["confidence"]),
                "reasons": [],
                "proposed_by": _origin(row),
            }
        )
    return rows


def ranking_of(asked: pd.DataFrame) -> pd.DataFrame:
    """Frames with proposals, with the columns of disagreements.rank_frames, most doubtful first."""
    doubtful = asked.assign(severity=1 - (asked["confidence"] - 0.5).abs())
    frames = doubtful.groupby(["video", "frame_index"], as_index=False).agg(
        severity=("severity", "max"), boxes=("severity", "size")
    )
    return frames.assign(
        kinds=[["extra"] * count for count in frames["boxes"]],
        hints=[
            [
                "Proposed boxes have no mark in the video. Delete those that are not targets; accept the "
                "frame if all others are correct."
            ]
            for _ in range(len(frames))
        ],
    )[["video", "frame_index", "severity", "kinds", "hints"]]


def _origin(row: Mapping[str, Any]) -> str:
    """A sentence on the origin of a proposal and on its use; the list of regions has its confidence too."""
    taken = "taken as a label" if row["use"] == "adopted" else "not taken"
    made = f"proposed at {row['confidence']:.2f} by the model of round {row['round'] - 1}"
    return f"{made}, in {row['held']} frames, {taken}"
