"""Images and objects of an export: from the cleaned labels, the reviews, or the dataset.

As in the dataset, an image is exported only if all its objects are known: a doubtful or rejected label would
otherwise become a false negative, and so would an unmarked target.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from PIL import Image

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.sources import require_pulled, tracked_files
from gotowce_dagster.core.tables import FRAMES, LABELS, MASKS, PROVENANCE, read_table, records
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.interchange.base import UNSPLIT, LabelledObject, Picture
from gotowce_dagster.labels.export import class_names
from gotowce_dagster.labels.in_force import reviews_in_force
from gotowce_dagster.labels.provenance import origins
from gotowce_dagster.labels.reviewed import apply_reviews
from gotowce_dagster.labels.split import SPLITS, usable_frames
from gotowce_dagster.pictures.read import is_whole_jpeg

Labels = Literal["cleaned", "reviewed", "dataset"]


class Source(Protocol):
    """A source of images to export."""

    left_out: Counter[str]
    """Number of frames left out, by reason; complete once all images have been read."""

    def classes(self) -> tuple[str, ...]:
        """Class names in order."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Split names in order."""
        ...

    def count(self) -> int:
        """Upper bound of the number of images."""
        ...

    def pictures(self) -> Iterator[Picture]:
        """Yield the images, one video at a time, with only that video's tables in memory."""
        ...


def source(project: Project, labels: Labels) -> Source:
    """Select the images of a project with its cleaned labels, its reviewed labels, or those of its dataset.

    Raises:
        InputError: the labels do not exist yet, or reviews are tracked but not pulled.
    """
    require_pulled(tracked_files(project.paths.reviewed_videos))
    if labels == "dataset":
        return DatasetPictures(project)
    return FramePictures(project, is_reviewed=labels == "reviewed")


@dataclass
class FramePictures:
    """Kept frames with the pipeline's accepted labels or with reviewed labels."""

    project: Project
    is_reviewed: bool
    """Only reviewed frames, with their objects as reviewed."""
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        paths = self.project.paths
        self._videos = [video for video in self.project.videos if paths.labels(video).exists()]
        if not self._videos:
            raise InputError(
                f"{paths.data / 'labels'}: no video has labels yet; run the earlier stages first"
            )

    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({name for video in self._videos for name in self._rows(video)[0]["class_name"]}))

    def splits(self) -> tuple[str, ...]:
        return (UNSPLIT,)

    def count(self) -> int:
        return sum(
            int(read_table(self.project.paths.frame_index(video), FRAMES)["kept"].sum())
            for video in self._videos
        )

    def pictures(self) -> Iterator[Picture]:
        self.left_out.clear()
        for video in self._videos:
            rows, frames = self._rows(video)
            objects = dict(iter(rows.groupby("frame_index")))
            frames["origin"] = origins(frames, {video: rows}) if len(frames) else []
            reasons = self._reasons(video, frames)
            for frame, reason in zip(records(frames), reasons, strict=True):
                file = self.project.paths.frames(video) / frame["file"]
                reason = reason or ("" if is_whole_jpeg(file) else "damaged")  # noqa: PLW2901
                if reason:
                    self.left_out[reason] += 1
                    continue
                name = f"{video}_{frame['frame_index']:06d}.jpg"
                yield _picture(file, name, UNSPLIT, frame, objects.get(frame["frame_index"], rows[:0]))

    def _rows(self, video: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Labels of a video, and its kept frames as from usable_frames."""
        paths = self.project.paths
        labels = read_table(paths.labels(video), LABELS)
        reviews = reviews_in_force(self.project, video) if self.is_reviewed else {}
        rows = apply_reviews(labels, reviews, video)
        frames = usable_frames(video, read_table(paths.frame_index(video), FRAMES), rows, reviews)
        if self.is_reviewed:
            rows = rows[rows["frame_index"].isin(frames.loc[frames["reviewed"], "frame_index"])]
        return rows, frames

    def _reasons(self, video: str, frames: pd.DataFrame) -> np.ndarray:
        """The reason for leaving out each frame; empty for exported frames."""
        if self.is_reviewed:
            return np.select([frames["rejected"], ~frames["reviewed"]], ["rejected", "not reviewed"], "")
        paths, index = self.project.paths, frames["frame_index"]
        masks = read_table(paths.masks(video), MASKS)
        lost = index.isin(masks.loc[masks["state"] == "lost", "frame_index"])
        unanswered = index.isin(list(read_detected(paths.detections(video)).unanswered))
        is_known = frames["objects"].gt(0) | self.project.video(video).negative
        return np.select(
            [frames["doubtful"] | lost, unanswered, ~is_known], ["doubtful", "unanswered", "unknown"], ""
        )


@dataclass
class DatasetPictures:
    """Images of the dataset with their splits, unmodified and with their marks erased."""

    project: Project
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        folder = self.project.paths.dataset
        provenance = read_table(folder / "provenance.parquet", PROVENANCE)
        self._rows = provenance[provenance["kind"] != "unknown"]

    def classes(self) -> tuple[str, ...]:
        return tuple(name for _, name in sorted(class_names(self.project.paths.dataset).items()))

    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def count(self) -> int:
        return len(self._rows)

    def pictures(self) -> Iterator[Picture]:
        paths = self.project.paths
        for video, rows in self._rows.groupby("video"):
            key = str(video)
            labels = read_table(paths.labels(key), LABELS)
            labels = apply_reviews(labels, reviews_in_force(self.project, key), key)
            objects = dict(iter(labels.groupby("frame_index")))
            for row in records(rows):
                own = objects.get(row["frame_index"], labels[:0])
                if own["detection_id"].tolist() != list(row["detection_ids"]):
                    raise InputError(
                        f"{paths.dataset}: frame {row['frame_index']} of {key} has changed labels; run "
                        "yolo_dataset again before exporting it"
                    )
                image = paths.dataset / row["image"]
                yield _picture(image, Path(row["image"]).name, row["split"], row, own)


def _picture(file: Path, name: str, split: str, frame: dict[Any, Any], rows: pd.DataFrame) -> Picture:
    with Image.open(file) as opened:
        width, height = opened.size
    boxes = np.clip(xyxy(rows), 0, [width, height, width, height]).tolist()
    objects = (
        LabelledObject(
            detection_id=int(row["detection_id"]),
            object_id=row["object_id"],
            class_name=row["class_name"],
            box=tuple(box),
            rle=row["rle"] if isinstance(row["rle"], str) else None,
            confidence=None if pd.isna(row["confidence"]) else float(row["confidence"]),
            quality=float(row["quality"]),
        )
        for box, row in zip(boxes, records(rows), strict=True)
    )
    return Picture(
        source=file,
        name=name,
        file="",
        width=width,
        height=height,
        split=split,
        video=frame["video"],
        frame_index=int(frame["frame_index"]),
        time_s=float(frame["time_s"]),
        kind=frame.get("kind", "as-is"),
        origin=frame["origin"],
        reviewed=bool(frame["reviewed"]),
        objects=tuple(objects),
    )
