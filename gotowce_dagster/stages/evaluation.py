"""Stage 8: how good detections, labels and the model are, as numbers, plots and a report."""

import json
from collections.abc import Callable, Set
from functools import cache

import cv2
import pandas as pd

from gotowce_dagster.detectors.profile import read_profile
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.errors import InputError
from gotowce_dagster.files import fresh_dir, read_json
from gotowce_dagster.labels.reviewed import known_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.progress import Progress, tracked
from gotowce_dagster.project import Project
from gotowce_dagster.review.measures import reviewed_so_far
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.stages.report import report
from gotowce_dagster.stages.yolo_dataset import reviews_in_force
from gotowce_dagster.tables import (
    DETECTIONS,
    FRAMES,
    LABELS,
    MASKS,
    PROVENANCE,
    empty,
    read_table,
    read_truth,
)
from gotowce_dagster.training import evaluate
from gotowce_dagster.training.evaluate import KnownFrames, Tables
from gotowce_dagster.training.findings import plots
from gotowce_dagster.training.measures import MEASURES, Findings
from gotowce_dagster.video.decode import probe

_AGAIN = "run its stage again"
_ON_TOP = ("precision_50", "recall_50", "mAP50", "median_iou")


def run(project: Project, progress: Progress) -> None:
    """Measure; write metrics.json, notes.json, plots/ and report.html.

    Raises:
        InputError: there is no dataset or no model, or a video or a file of reviews is not pulled.
    """
    project.require_raw()
    confidence = project.params.evaluation.confidence
    findings = _find(project, progress)
    scored = {name: findings.scored(name, confidence) for name in MEASURES}
    metrics = {
        name: groups["all"]
        | {"truth": findings.truth(name)}
        | {"by_video": {video: some for video, some in groups.items() if video != "all"}}
        for name, groups in scored.items()
        if groups
    }
    told = reviewed_so_far(project.paths, project.videos, project.params)
    reviews = {"review": told} if told["frames_reviewed"] else {}
    with fresh_dir(project.paths.evaluation) as new:
        (new / "metrics.json").write_text(json.dumps(metrics | reviews, indent=1) + "\n", encoding="utf-8")
        (new / "notes.json").write_text(json.dumps([*findings.notes, *findings.missing()], indent=1), "utf-8")
        (new / "plots").mkdir()
        drawn = plots(findings, scored)
        for name, picture in drawn.items():
            cv2.imwrite(str(new / "plots" / f"{name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        (new / "report.html").write_text(report(project, findings, scored, drawn), encoding="utf-8")


def preview(project: Project) -> Preview:
    """The scores that matter most, what could not be measured, and the scores as bars."""
    folder = project.paths.evaluation
    metrics = read_json(folder / "metrics.json", _AGAIN)
    numbers: dict[str, float | int | str] = {
        f"{measure}_{name}": scores[name]
        for measure, scores in metrics.items()
        for name in _ON_TOP
        if name in scores
    }
    notes = read_json(folder / "notes.json", _AGAIN)
    bars = folder / "plots" / "scores.png"
    return Preview(numbers, read_rgb(bars) if bars.exists() else None, notes)


def _find(project: Project, progress: Progress) -> Findings:
    """Run the model over the test split, and everything over every frame whose truth is known."""
    paths = project.paths
    provenance = read_table(paths.dataset / "provenance.parquet", PROVENANCE)
    predict = evaluate.fine_tuned(paths)
    segmenter = cache(lambda: build_segmenter(project.engines["masks"], project.params.masks))
    cases = {name: [] for name in MEASURES}
    cases["model_test"] = evaluate.held_out_cases(paths.dataset, provenance, predict)
    labels, notes, reviewed = [empty(LABELS)], [], set()
    for video in tracked(list(project.videos), len(project.videos), progress):
        try:
            checked, said = _truth(project, video)
            truth = evaluate.joined(checked, said)
            if truth.empty:
                continue
            limit = project.params.evaluation.max_truth_frames
            by_hand = set(checked["frame_index"])
            frames = evaluate.known_frames(video, project.raw(video), truth, limit, by_hand)
            found, labelled = _labelled(project, frames, by_hand, segmenter)
        except InputError as error:
            notes.append(f"{video} was not measured: {error}")
            continue
        modelled = evaluate.model_cases(frames, predict)
        apart = evaluate.apart_from_training(frames, provenance, project.params.yolo_dataset.gap_s)
        cases["designators"] += evaluate.designator_cases(frames, found)
        cases["targets"] += evaluate.target_cases(frames, labelled)
        cases["model_truth"] += modelled
        cases["model_truth_apart"] += [case for case in modelled if case.frame_index in apart]
        reviewed |= {(video, index) for index in said["frame_index"]}
        labels.append(labelled)
        if lost := frames.unreadable:
            notes.append(f"{video}: {len(lost)} frames with truth cannot be decoded, the first is {lost[0]}")
    learned = provenance[provenance["reviewed"]]
    by_measure = dict.fromkeys(("targets", "model_truth", "model_truth_apart"), reviewed)
    by_measure["model_test"] = set(zip(learned["video"], learned["frame_index"], strict=True))
    return Findings(cases, pd.concat([part for part in labels if len(part)] or labels), notes, by_measure)


def _truth(project: Project, video: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known of a video's frames: checked by hand, and left by reviewers."""
    file, paths = project.paths.truth(video), project.paths
    is_made = paths.frame_index(video).exists()
    said = known_objects(reviews_in_force(project, video) if is_made else {}, project.video(video).file)
    return read_truth(file, probe(project.raw(video))) if file.exists() else said.iloc[:0], said


def _labelled(
    project: Project, frames: KnownFrames, checked: Set[int], segmenter: Callable[[], Segmenter]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections of the frames checked by hand, and labels of all known frames.

    A reviewed frame is one of the pipeline's own, so its labels are there; a checked frame may be any.
    """
    paths, params, video = project.paths, project.params, frames.video
    labels = read_table(paths.labels(video), LABELS)
    made = labels[labels["frame_index"].isin(set(frames.images) - checked)]
    if not (anew := frames.only(checked)).images:
        return empty(DETECTIONS), made
    profile = read_profile(paths.profile(project.video(video).profile))
    detectors = build_detectors(params.designator_detections.detectors, profile)
    tables = Tables(
        read_table(paths.frame_index(video), FRAMES),
        read_table(paths.detections(video), DETECTIONS),
        read_table(paths.masks(video), MASKS),
    )
    found, labelled = evaluate.label_known_frames(anew, tables, detectors, segmenter, params, profile=profile)
    return found, pd.concat([part for part in (labelled, made) if len(part)] or [labelled])
