"""Predictions of a project's model on a video's frames with ground truth, with and without their marks."""

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import evenly, xyxy
from gotowce_dagster.core.tables import FRAMES, empty, read_table
from gotowce_dagster.core.truth import empty_complete_truth, read_complete_truth
from gotowce_dagster.designators.profile import AnyDesignator, read_profile
from gotowce_dagster.detectors.detect import detect_frames
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.evaluation.evaluate import KnownFrames, apart_from_training
from gotowce_dagster.evaluation.recalls import Seen, look
from gotowce_dagster.training.model import Predict
from gotowce_dagster.training.targets_and_marks import marks_in
from gotowce_dagster.video.decode import probe, read_frames


def look_at_video(
    project: Project, video: str, checked: pd.DataFrame, predict: Predict, adopt: Predict | None = None
) -> list[Seen]:
    """Run the model on a video's frames with hand-checked objects or complete ground truth.

    Args:
        checked: columns of truth.read_truth.
        adopt: as in recalls.look.

    Raises:
        InputError: the complete ground truth or the profile is malformed.
    """
    file = project.paths.complete_truth(video)
    complete = (
        read_complete_truth(file, probe(project.raw(video))) if file.exists() else empty_complete_truth()
    )
    boxed = checked[checked["label"] == "object"]
    limit = project.params.evaluation.max_truth_frames
    # Each kind has the limit of its own: there are few complete frames, and they must not give way to others.
    whole = np.unique(complete["frame_index"])
    others = np.setdiff1d(boxed["frame_index"], whole)
    chosen = [some[evenly(len(some), limit)] for some in (whole, others)]
    wanted = np.sort(np.concatenate(chosen)).astype(int).tolist()
    if not wanted:
        return []
    name = project.video(video).profile
    profile = read_profile(project.paths.profile(name))
    params = project.params.designator_detections
    detectors = build_detectors(params.detectors, profile)

    def marks(image: np.ndarray) -> list[tuple[np.ndarray, AnyDesignator]]:
        return marks_in(detect_frames(video, [(0, image)], detectors, params.consensus).rows, profile)

    return look(
        video,
        name,
        {frame.index: frame.rgb() for frame in read_frames(project.raw(video), wanted)},
        objects={int(index): xyxy(rows) for index, rows in boxed.groupby("frame_index")},
        complete=complete,
        find_marks=marks,
        predict=predict,
        adopt=adopt,
    )


def is_apart(seen: Seen, trained_on: pd.DataFrame, project: Project) -> bool:
    """Whether a frame is outside the training parts of its video and at least the gap away from them.

    Args:
        trained_on: rows of tables.PROVENANCE of its video.
    """
    case = seen.complete or seen.marked
    assert case is not None, "it was seen for one of both"
    index = read_table(project.paths.frame_index(case.video), FRAMES)
    time_s = float(np.interp(case.frame_index, index["frame_index"], index["time_s"]))
    known = KnownFrames(case.video, empty(FRAMES), {}, {case.frame_index: time_s}, [])
    return bool(apart_from_training(known, trained_on, project.params.yolo_dataset.gap_s))
