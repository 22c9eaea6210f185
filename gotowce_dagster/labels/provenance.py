"""The origin of a dataset's images, the frames left out of it, and leaks between its splits."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import DETECTIONS, MASKS, PROVENANCE, read_table
from gotowce_dagster.core.truth import COMPLETE_IGNORED
from gotowce_dagster.labels.reviewed import ReviewedFrames, decision_of, is_usable
from gotowce_dagster.labels.reviews import FIRST_PROPOSAL, Box, Review
from gotowce_dagster.labels.split import find_leaks


def leaks(project: Project) -> list[str]:
    """Leaks between the splits of the dataset on disk, one sentence each; empty if there are none."""
    provenance = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    return find_leaks(provenance, project.params.yolo_dataset)


def provenance_of(project: Project, used: pd.DataFrame, labels: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per image: its origin, and the detectors and segmenters of its labels."""
    pieces = []
    for video, rows in used.groupby("video"):
        frame = rows["frame_index"]
        ids = labels[str(video)].groupby("frame_index")["detection_id"].agg(list)
        pieces.append(
            rows.assign(
                detection_ids=[ids.get(index, []) for index in frame],
                detector=frame.map(_makers(project.paths.detections(str(video)), DETECTIONS, "detector")),
                segmenter=frame.map(_makers(project.paths.masks(str(video)), MASKS, "segmenter")),
            )
        )
    whole = pd.concat(pieces).sort_values(["split", "video", "frame_index"])
    return whole.fillna({"detector": "", "segmenter": ""})[PROVENANCE.names]


def origins(used: pd.DataFrame, labels: Mapping[str, pd.DataFrame]) -> list[str]:
    """The origin of each frame's labels: marked, propagated, reviewed (with proposals) or none."""
    proposed = {
        video: set(rows.loc[rows["detection_id"] >= FIRST_PROPOSAL, "frame_index"])
        for video, rows in labels.items()
    }
    marked = {
        video: set(rows.loc[rows["designator_x1"].notna(), "frame_index"]) for video, rows in labels.items()
    }
    return [
        "reviewed with proposals"
        if row["reviewed"] and row["frame_index"] in proposed[row["video"]]
        else "reviewed"
        if row["reviewed"]
        else "none"
        if not row["objects"]
        else "marked"
        if row["frame_index"] in marked[row["video"]]
        else "propagated"
        for row in used.to_dict("records")
    ]


def rejected_proposals(used: pd.DataFrame, reviews: Mapping[str, ReviewedFrames]) -> pd.DataFrame:
    """Boxes that reviewers of the dataset's frames declared not to be targets, or left unsure.

    Args:
        used: video, frame_index and split of the dataset's frames.
        reviews: the current reviews, by video.

    Returns:
        split, video, frame_index, class_name, x1, y1, x2, y2.
    """
    rows = [
        (row["split"], row["video"], row["frame_index"], name, *box)
        for row in used.to_dict("records")
        if (frame := reviews[row["video"]].get(row["frame_index"])) and is_usable(decision_of(frame))
        for name, box in _no_targets(decision_of(frame))
    ]
    columns = ["split", "video", "frame_index", "class_name", *BOX]
    return pd.DataFrame(rows, columns=columns)


def _no_targets(review: Review) -> list[tuple[str, Box]]:
    """Class and box of rejected proposals and of objects called other or unsure."""
    ignored = [(thing.class_name, thing.box) for thing in review.objects]
    ignored = [(name, box) for name, box in ignored if name in COMPLETE_IGNORED]
    return ignored + [(change.class_name, change.box) for change in review.rejected if change.box]


def left_out(kept: pd.DataFrame, settled: pd.DataFrame, absent: list[str]) -> pd.DataFrame:
    """Count the kept frames left out of the dataset by video and reason, and list videos without labels."""
    excluded = pd.concat(
        [
            kept[kept["damaged"]].assign(reason="damaged"),
            kept[kept["rejected"] & ~kept["damaged"]].assign(reason="rejected"),
            kept[kept["doubtful"] & ~kept["damaged"]].assign(reason="doubtful"),
            kept[kept["unanswered"] & ~kept["doubtful"] & ~kept["damaged"]].assign(reason="unanswered"),
            settled[settled["split"] == ""].assign(reason=lambda rows: rows["left_out"]),
        ]
    )
    counted = excluded.groupby(["video", "reason"]).size().reset_index(name="frames")
    whole = pd.DataFrame({"video": absent, "reason": "no labels", "frames": 0})
    return pd.concat([counted, whole])


def _makers(path: Path, schema: pa.Schema, column: str) -> dict[int, str]:
    """The names of the detectors or segmenters of each frame, joined by "+"."""
    names = read_table(path, schema)[["frame_index", column]].drop_duplicates().sort_values(column)
    return names.groupby("frame_index")[column].agg("+".join).to_dict()
