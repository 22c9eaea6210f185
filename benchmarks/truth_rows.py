"""Frames with ground truth for a designator and an object, for the benchmarks of masks.

The folder contains clips and truth.csv (truth.read_truth); clips with the same prefix (`naev_`) are of one
game. The prompt is the designator found by the bracket detector with the clip's profile, or the ground truth
designator if it finds none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.detector_settings import BracketSettings
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.registry import build_detector
from gotowce_dagster.intake.videos import profile_of
from gotowce_dagster.labels.cleaning import clean
from gotowce_dagster.video.decode import read_frames

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
WRONG = 0.5


@dataclass(frozen=True)
class Case:
    """A frame with one target."""

    clip: str
    frame_index: int
    image: np.ndarray
    detection: sv.Detections
    truth: np.ndarray

    @property
    def game(self) -> str:
        return self.clip.partition("_")[0]

    @property
    def designator(self) -> np.ndarray:
        """xyxy float (4,)."""
        return self.detection.xyxy[0].astype(float)


def read_cases(footage: Path, project: Project) -> Iterator[Case]:
    """Read every frame with ground truth for a designator and an object."""
    truth = read_truth(footage / "truth.csv")
    boxes = truth[truth["label"].isin(["designator", "object"])].pivot_table(
        index=["clip", "frame_index"], columns="label", values=BOX, aggfunc="first"
    )
    boxes = boxes.dropna()
    for clip, rows in boxes.groupby(level="clip"):
        detector = detector_of(str(clip), project)
        wanted = rows.index.get_level_values("frame_index")
        for frame in read_frames(footage / str(clip), set(wanted)):
            row = rows.loc[(clip, frame.index)]
            designator, target = (
                np.array([row[(side, label)] for side in BOX], float) for label in ("designator", "object")
            )
            image = frame.rgb()
            yield Case(
                str(clip), frame.index, image, _prompt(detector.detect([image])[0], designator), target
            )


def detector_of(clip: str, project: Project) -> Detector:
    """Build the bracket detector with the profile for the clip's name."""
    return build_detector(
        "bracket",
        BracketSettings(),
        read_profile(project.paths.profile(profile_of(project.paths, Path(clip).stem))),
    )


def verdict(case: Case, rows: pd.DataFrame, project: Project) -> tuple[str, str]:
    """Rate a single mask with the rules of params.yaml: verdict and reasons.

    Args:
        rows: what segment_targets gave.
    """
    key = {"video": case.clip, "frame_index": case.frame_index}
    corners = case.detection.data.get("visible_corners", np.array([4]))
    confidence = case.detection.confidence
    assert confidence is not None
    detection = pd.DataFrame(case.detection.xyxy, columns=BOX).assign(
        **key, detection_id=0, confidence=confidence, class_name="", detector="", prompt="",
        visible_corners=corners, votes=None,
    )  # fmt: skip
    frame = {
        "time_s": 0.0,
        "shot": 0,
        "sharpness": np.nan,
        "phash": "",
        "kept": True,
        "reason": "",
        "file": "",
    }
    labels = clean(
        detection,
        rows.assign(**key, object_id="0/0"),
        pd.DataFrame([{"frame_index": case.frame_index, **frame}]),
        project.params.cleaned_labels,
    )
    return labels["verdict"].iloc[0], ", ".join(labels["reasons"].iloc[0])


def iou(boxes: np.ndarray, truth: np.ndarray) -> float:
    """Highest IoU of boxes (n, 4) with the ground truth box (4,); 0 without boxes."""
    return float(sv.box_iou_batch(boxes, truth[None]).max(initial=0)) if len(boxes) else 0.0


def _prompt(found: sv.Detections, designator: np.ndarray) -> sv.Detections:
    overlap = sv.box_iou_batch(designator[None], found.xyxy)[0] if len(found) else np.zeros(0)
    if overlap.max(initial=0) < WRONG:
        return from_boxes(designator, [1.0], visible_corners=np.array([4]))
    one = found[[int(overlap.argmax())]]
    assert isinstance(one, sv.Detections)
    return one
