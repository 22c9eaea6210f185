"""Set what the pipeline and its model find against what is known to be there."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.boxes import evenly, xyxy
from gotowce_dagster.core.detections import from_boxes, from_rows
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.reviewed import NO_OBJECT
from gotowce_dagster.training.finetune import read_arguments
from gotowce_dagster.training.model import Predict, load_model
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import read_frames


@dataclass(frozen=True, eq=False)
class KnownFrames:
    """The frames of a video that have truth, decoded from its file."""

    video: str
    truth: pd.DataFrame
    """Columns of tables.read_truth, and labelled NO_OBJECT too; of readable frames only."""
    images: Mapping[int, np.ndarray]
    """RGB uint8 (H, W, 3) by frame_index."""
    times: Mapping[int, float]
    """Seconds by frame_index."""
    unreadable: Sequence[int]
    """Frames with truth that the file does not give."""
    sharpness: Mapping[int, float] = field(default_factory=dict)
    """As tables.FRAMES has it, by frame_index."""

    def boxes(self, frame_index: int, label: str) -> np.ndarray:
        """xyxy (n, 4) of the rows with that label."""
        rows = self.truth[(self.truth["frame_index"] == frame_index) & (self.truth["label"] == label)]
        return xyxy(rows)

    def with_label(self, *labels: str) -> list[int]:
        """Frames that have a row with one of the labels, in order."""
        return sorted(set(self.truth.loc[self.truth["label"].isin(labels), "frame_index"]))

    def only(self, wanted: Set[int]) -> "KnownFrames":
        """Those of the frames that are wanted."""
        return KnownFrames(
            self.video,
            self.truth[self.truth["frame_index"].isin(list(wanted))],
            {index: image for index, image in self.images.items() if index in wanted},
            {index: time_s for index, time_s in self.times.items() if index in wanted},
            [index for index in self.unreadable if index in wanted],
            {index: sharp for index, sharp in self.sharpness.items() if index in wanted},
        )


def joined(checked: pd.DataFrame, reviewed: pd.DataFrame) -> pd.DataFrame:
    """One truth of two: of a frame that is in both, reviewers tell the objects.

    Args:
        checked: columns of tables.read_truth.
        reviewed: as from labels.reviewed.truth_from_reviews.
    """
    both = checked["frame_index"].isin(reviewed["frame_index"])
    parts = [checked[~(both & (checked["label"] == "object"))], reviewed]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def known_frames(
    video: str, file: Path, truth: pd.DataFrame, limit: int, checked: Set[int] = frozenset()
) -> KnownFrames:
    """Decode the frames that a truth table names, evenly chosen where there are more than ``limit``.

    Args:
        checked: frames that do not compete with the others, nor the others with them: up to ``limit`` of
            each are chosen. A video that was reviewed as a whole would crowd out the few checked by hand.

    Raises:
        InputError: the file is no video.
    """
    named = np.unique(truth["frame_index"])
    is_checked = np.isin(named, list(checked))
    groups = (named[is_checked], named[~is_checked])
    wanted = sorted(int(index) for group in groups for index in group[evenly(len(group), limit)])
    frames = {frame.index: frame for frame in read_frames(file, wanted)}
    readable = truth[truth["frame_index"].isin(list(frames))]
    return KnownFrames(
        video,
        readable,
        {index: frame.rgb() for index, frame in frames.items()},
        {index: frame.time_s for index, frame in frames.items()},
        [index for index in wanted if index not in frames],
        {index: quality.sharpness(quality.shrink(frame.luma())) for index, frame in frames.items()},
    )


def designator_cases(known: KnownFrames, detections: pd.DataFrame) -> list[Case]:
    """Designators found against those that are there; half hidden ones are neither right nor wrong."""
    return [
        Case(
            known.video,
            index,
            from_rows(detections[detections["frame_index"] == index], "class_name"),
            from_boxes(known.boxes(index, "designator")),
            known.boxes(index, "designator_partial"),
        )
        for index in known.with_label("designator", "designator_partial", "none")
    ]


def target_cases(known: KnownFrames, labels: pd.DataFrame) -> list[Case]:
    """Accepted labels against the objects that are there; where nothing is designated, against nothing."""
    accepted = labels[labels["verdict"] == "accept"]
    return [
        Case(
            known.video,
            index,
            from_rows(accepted[accepted["frame_index"] == index], "class_name"),
            from_boxes(known.boxes(index, "object")),
        )
        for index in known.with_label("object", "none", NO_OBJECT)
    ]


def model_cases(known: KnownFrames, predict: Predict) -> list[Case]:
    """The model's boxes against the objects that are there.

    Frames without a designator are left out: they may show objects that nobody has marked. Not so those that
    a reviewer confirmed as empty.
    """
    return [
        Case(known.video, index, predict(known.images[index]), from_boxes(known.boxes(index, "object")))
        for index in known.with_label("object", NO_OBJECT)
    ]


def held_out_cases(dataset: Path, provenance: pd.DataFrame, predict: Predict) -> list[Case]:
    """The model's boxes against the labels of the test split.

    Args:
        dataset: its folder.
        provenance: rows of tables.PROVENANCE.
    """
    cases = []
    as_is = (provenance["split"] == "test") & (provenance["kind"] == "as-is")
    for row in provenance[as_is].to_dict("records"):
        picture, objects = read_objects(dataset, row["image"])
        cases.append(Case(row["video"], row["frame_index"], predict(picture), objects))
    return cases


def apart_from_training(known: KnownFrames, provenance: pd.DataFrame, gap_s: float) -> set[int]:
    """Known frames that lie in no stretch of the video the model was trained on, nor nearer than the gap."""
    trained = provenance[(provenance["split"] == "train") & (provenance["video"] == known.video)]
    spans = trained.groupby("block")["time_s"].agg(["min", "max"]).to_numpy()

    def is_apart(time_s: float) -> bool:
        return all(time_s <= start - gap_s or time_s >= end + gap_s for start, end in spans)

    return {index for index, time_s in known.times.items() if is_apart(time_s)}


def fine_tuned(paths: Paths) -> Predict:
    """The model that finetuned_model left in a project.

    Raises:
        InputError: there is none yet, or it is neither trained here nor known to git (trust.py).
    """
    arguments = read_arguments(paths.model)
    require_trusted(paths.model / "best.pt", paths.root)
    tile_px, enlarge = arguments.get("tile_px", 0), "crop_px" not in arguments
    return load_model(paths.model / "best.pt", arguments["imgsz"], tile_px, enlarge=enlarge)
