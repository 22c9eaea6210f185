"""Run the pipeline and its model over all frames with ground truth."""

from functools import cache

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, tracked
from gotowce_dagster.core.tables import LABELS, PROVENANCE, empty, read_table
from gotowce_dagster.evaluation.evaluate import (
    apart_from_training,
    designator_cases,
    fine_tuned,
    held_out_cases,
    joined,
    known_frames,
    model_cases,
    target_cases,
)
from gotowce_dagster.evaluation.measures import MEASURES, Findings
from gotowce_dagster.evaluation.recalls import (
    UNMEASURED,
    Seen,
    figures_by_group,
    look_at_test_split,
    none_found,
)
from gotowce_dagster.evaluation.threshold import own_threshold
from gotowce_dagster.evaluation.without_marks import is_apart, look_at_video
from gotowce_dagster.labelling.known import Wanted, label_in_project
from gotowce_dagster.labels.in_force import checked_and_reviewed
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.training.model import remembered
from gotowce_dagster.training.model_folder import model_file


def find(project: Project, progress: Progress) -> Findings:
    """Run the model over the test split, and the whole pipeline over every frame with ground truth.

    Raises:
        InputError: there is no dataset or no model.
    """
    paths = project.paths
    provenance = read_table(paths.dataset / "provenance.parquet", PROVENANCE)
    # Several measures look at the same frames.
    predict = remembered(fine_tuned(paths))
    segmenter = cache(lambda: build_segmenter(project.engines["masks"], project.params.masks))
    cases = {name: [] for name in MEASURES}
    cases["model_test"] = held_out_cases(paths.dataset, provenance, predict)
    labels, notes, reviewed = [empty(LABELS)], [], set()
    seen: list[Seen] = []
    seen_apart: list[Seen] = []
    for video in tracked(list(project.videos), len(project.videos), progress):
        try:
            checked, reviewed_boxes = checked_and_reviewed(project, video)
            looked = look_at_video(project, video, checked, predict)
            trained_on = provenance[(provenance["split"] == "train") & (provenance["video"] == video)]
            seen += looked
            seen_apart += [one for one in looked if is_apart(one, trained_on, project)]
            truth = joined(checked, reviewed_boxes)
            if truth.empty:
                continue
            limit = project.params.evaluation.max_truth_frames
            by_hand = set(checked["frame_index"])
            frames = known_frames(video, project.raw(video), truth, limit, by_hand)
            wanted = Wanted(video, frames.images, frames.times, frames.sharpness)
            found, labelled = label_in_project(project, wanted, segmenter)
        except InputError as error:
            notes.append(f"{video} was not evaluated: {error}")
            continue
        modelled = model_cases(frames, predict)
        apart = apart_from_training(frames, provenance, project.params.yolo_dataset.gap_s)
        # A refused or unparseable response is not a false negative: the frame was not evaluated.
        answered = frames.only(set(frames.images) - set(found.unanswered))
        cases["designators"] += designator_cases(answered, found.rows)
        cases["targets"] += target_cases(answered, labelled)
        cases["model_truth"] += modelled
        cases["model_truth_apart"] += [case for case in modelled if case.frame_index in apart]
        reviewed |= {(video, index) for index in reviewed_boxes["frame_index"]}
        labels.append(labelled)
        if found.unanswered:
            notes.append(
                f"{video}: {len(found.unanswered)} of {len(frames.images)} frames with ground truth have no "
                f"usable response from a detector and are not scored, the first is {min(found.unanswered)}"
            )
        if lost := frames.unreadable:
            notes.append(
                f"{video}: {len(lost)} frames with ground truth cannot be decoded, the first is {lost[0]}"
            )
    learned = provenance[provenance["reviewed"]]
    by_measure = dict.fromkeys(("targets", "model_truth", "model_truth_apart"), reviewed)
    by_measure["model_test"] = set(zip(learned["video"], learned["frame_index"], strict=True))
    truth_of = "ground truth and complete truth"
    if not any(one.marked for one in seen):
        truth_of = "labels of the test split"
        seen += look_at_test_split(paths.dataset, provenance, predict)
    recalls = figures_by_group(seen, seen_apart, project.params.evaluation.confidence)
    notes += [note] if (note := none_found(recalls["all"])) else []
    notes += [] if "complete_frames" in recalls["all"] else [UNMEASURED]
    return Findings(
        cases,
        pd.concat([part for part in labels if len(part)] or labels),
        notes,
        recalls,
        truth_of,
        own_threshold(seen, seen_apart, project.params.evaluation, content_sha256(model_file(paths.model))),
        by_measure,
    )
