"""Evaluate the pipeline and the fine-tuned model against ground truth."""

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
from gotowce_dagster.training.model import Predict, load_trained
from gotowce_dagster.training.model_folder import model_file, read_arguments
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import read_frames


@dataclass(frozen=True, eq=False)
class KnownFrames:
    """The decoded frames of a video that have ground truth."""

    video: str
    truth: pd.DataFrame
    """Columns of truth.read_truth, with the additional label NO_OBJECT; readable frames only."""
    images: Mapping[int, np.ndarray]
    """RGB uint8 (H, W, 3) by frame_index."""
    times: Mapping[int, float]
    """Seconds by frame_index."""
    unreadable: Sequence[int]
    """Frames with ground truth that could not be decoded."""
    sharpness: Mapping[int, float] = field(default_factory=dict)
    """As in tables.FRAMES, by frame_index."""

    def boxes(self, frame_index: int, label: str) -> np.ndarray:
        """Boxes of the rows with that label, xyxy (n, 4)."""
        rows = self.truth[(self.truth["frame_index"] == frame_index) & (self.truth["label"] == label)]
        return xyxy(rows)

    def with_label(self, *labels: str) -> list[int]:
        """Frames with a row with one of the labels, sorted."""
        return sorted(set(self.truth.loc[self.truth["label"].isin(labels), "frame_index"]))

    def only(self, wanted: Set[int]) -> "KnownFrames":
        """The same, limited to the wanted frames."""
        return KnownFrames(
            self.video,
            self.truth[self.truth["frame_index"].isin(list(wanted))],
            {index: image for index, image in self.images.items() if index in wanted},
            {index: time_s for index, time_s in self.times.items() if index in wanted},
            [index for index in self.unreadable if index in wanted],
            {index: sharp for index, sharp in self.sharpness.items() if index in wanted},
        )


def joined(checked: pd.DataFrame, reviewed: pd.DataFrame) -> pd.DataFrame:
    """Join both sources of ground truth; objects of a frame in both come from its review.

    Args:
        checked: columns of truth.read_truth.
        reviewed: as from labels.reviewed.truth_from_reviews.
    """
    both = checked["frame_index"].isin(reviewed["frame_index"])
    parts = [checked[~(both & (checked["label"] == "object"))], reviewed]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def known_frames(
    video: str, file: Path, truth: pd.DataFrame, limit: int, checked: Set[int] = frozenset()
) -> KnownFrames:
    """Decode the frames of a ground truth table, evenly spaced if there are more than ``limit``.

    Args:
        checked: hand-checked frames, to which ``limit`` applies separately; otherwise a fully reviewed video
            would crowd them out.

    Raises:
        InputError: the file is not a video.
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
    """Pair detected designators with ground truth; partly hidden ones are ignored."""
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
    """Pair accepted labels with ground truth objects; frames without a designator have none."""
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
    """Pair the model's predictions with ground truth objects.

    Frames without a designator are left out, because they may show unmarked objects, unless a reviewer
    confirmed that they are empty.
    """
    return [
        Case(known.video, index, predict(known.images[index]), from_boxes(known.boxes(index, "object")))
        for index in known.with_label("object", NO_OBJECT)
    ]


def held_out_cases(dataset: Path, provenance: pd.DataFrame, predict: Predict) -> list[Case]:
    """Pair the model's predictions with the labels of the test split.

    Args:
        dataset: folder of the dataset.
        provenance: rows of tables.PROVENANCE.
    """
    cases = []
    as_is = (provenance["split"] == "test") & (provenance["kind"] == "as-is")
    for row in provenance[as_is].to_dict("records"):
        picture, objects = read_objects(dataset, row["image"])
        cases.append(Case(row["video"], row["frame_index"], predict(picture), objects))
    return cases


def apart_from_training(known: KnownFrames, provenance: pd.DataFrame, gap_s: float) -> set[int]:
    """Select frames outside the training parts of the video and at least the gap away from them."""
    trained = provenance[(provenance["split"] == "train") & (provenance["video"] == known.video)]
    spans = trained.groupby("block")["time_s"].agg(["min", "max"]).to_numpy()

    def is_apart(time_s: float) -> bool:
        return all(time_s <= start - gap_s or time_s >= end + gap_s for start, end in spans)

    return {index for index, time_s in known.times.items() if is_apart(time_s)}


def fine_tuned(paths: Paths) -> Predict:
    """Load the project's fine-tuned model.

    Raises:
        InputError: it does not exist, or it was neither trained here nor recorded in git (trust.py).
    """
    weights = model_file(paths.model)
    read_arguments(paths.model)  # raises where there is no model
    require_trusted(weights, paths.root)
    return load_trained(paths.model, weights)
