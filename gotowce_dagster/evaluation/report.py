"""The sections of the evaluation report."""

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.project import Project
from gotowce_dagster.config.training_params import EvaluationParams
from gotowce_dagster.core import weights
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.evaluation import summary as of_project
from gotowce_dagster.evaluation.findings import case_sheet, score_table
from gotowce_dagster.evaluation.measures import MEASURES, Findings
from gotowce_dagster.evaluation.recalls import (
    RECALLS_ON_TOP,
    SMALL_PX,
    UNMEASURED,
    group_title,
    none_found,
)
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.labelling import summary as of_video
from gotowce_dagster.labelling.story import frames_and_marks, masks_and_labels
from gotowce_dagster.labelling.summary import Summary
from gotowce_dagster.pictures.curves import training_curves
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.report import Section, Table, Value, render_report
from gotowce_dagster.training.dataset_sheet import dataset_sheet
from gotowce_dagster.video.decode import read_frames

Scored = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Scores by measure and by video, ``all`` first."""
Reviewed = Mapping[str, float | int]
"""As from review.measures.reviewed_so_far."""

_STEPS = {
    "Frames": (of_video.extracted_frames, None),
    "Designators": (of_video.designator_detections, frames_and_marks),
    "Masks": (of_video.masks, None),
    "Labels": (of_video.cleaned_labels, masks_and_labels),
}
"""Summary and picture of each step for a video."""
_TOP = {
    "designator recall": ("designators", "recall_50"),
    "designator precision": ("designators", "precision_50"),
    "label precision": ("targets", "precision_50"),
    "median IoU of labels": ("targets", "median_iou"),
    "model mAP50, test split": ("model_test", "mAP50"),
    "model mAP50, outside training data": ("model_truth_apart", "mAP50"),
}
_RECALLS = {
    "recall without the mark": "erased_recall",
    "recall of unmarked targets": "unmarked_recall",
    "recall with the mark": "marked_recall",
    "precision, complete frames": "precision",
}
_NEVER = "none, or too few boxes: the game has no say"
_LIBRARIES = (
    "ultralytics",
    "transformers",
    "torch",
    "sam2",
    "supervision",
    "opencv-python-headless",
    "av",
    "dagster",
    "dvc",
)


def report(
    project: Project,
    findings: Findings,
    scored: Scored,
    plots: Mapping[str, np.ndarray],
    reviewed: Reviewed,
) -> str:
    """Render the report as HTML."""
    params = project.params.evaluation
    curves = training_curves(pd.read_csv(project.paths.model / "results.csv"))
    # What the model began from explains its figures, so it precedes them.
    first = _without_marks(findings, params)
    sections = [
        replace(first, notes=[*of_project.finetuned_model(project).notes, *first.notes]),
        _results(findings, scored, plots),
        *(_measured(project, findings, name, scored[name]) for name in MEASURES if scored[name]),
        _review(project, reviewed),
        _section("The dataset", of_project.yolo_dataset(project), dataset_sheet(project.paths.dataset)),
        _training(project, curves),
        _videos(project),
        _ran(project),
    ]
    figures = findings.recalls.get("all", {})
    summary: dict[str, Value] = {title: figures.get(name) for title, name in _RECALLS.items()}
    summary |= {
        title: scored[measure]["all"].get(name) if scored[measure] else None
        for title, (measure, name) in _TOP.items()
    }
    if reviewed["frames_reviewed"]:
        summary |= {
            "frames reviewed": reviewed["frames_reviewed"],
            "labels wrong, audited": reviewed.get("error_rate"),
        }
    return render_report("Report", summary, sections, round(params.pictures_mb * 1e6))


def _without_marks(findings: Findings, params: EvaluationParams) -> Section:
    """Whether the model sees targets or their marks."""
    own = findings.threshold
    chosen = "the model's own threshold, chosen on complete frames that are not outside training data"
    is_own = own is not None and own.confidence == params.confidence
    caption = f"Boxes with a confidence of at least {params.confidence:g}"
    tables = _recalls(findings.recalls, f"{caption}, also {chosen}" if is_own else caption)
    share = f"{params.least_precision:.0%} of the model's boxes are right"
    is_complete = "complete_frames" in findings.recalls.get("all", {})
    notes = [note] if (note := none_found(findings.recalls.get("all", {}))) else []
    notes += [] if is_complete else [UNMEASURED]
    if not_erased := int(findings.recalls.get("all", {}).get("not_erased", 0)):
        notes.append(
            f"{not_erased} marked target(s) of complete frames are in neither recall of marked targets: near "
            "them no mark was found that could be erased"
        )
    if own is not None:
        if not is_own:
            caption = f"Boxes with a confidence of at least {own.confidence:.2f}, {chosen}"
            tables += _recalls(own.recalls, caption)
        rows: list[list[Value]] = [
            [
                game.profile,
                game.frames,
                _NEVER if game.confidence is None else game.confidence,
                "yes" if game.is_reached else "no",
            ]
            for game in own.games
        ]
        columns = ["game", "complete frames not outside training data", "lowest confidence", "reached"]
        caption = f"The lowest confidence at which {share}, by game, and whether so many are at the threshold"
        tables += [Table(columns, rows, caption)] if rows else []
    elif is_complete:
        notes.append(
            f"The model has no threshold of its own: on complete frames near training data, {share} in no "
            "game, or too few boxes count"
        )
    return Section(
        "Does the model see the target or its mark?",
        "Recall at IoU 0.5 of marked targets, of the same targets with their marks erased, and of targets "
        "that never had a mark. Precision and AP50 are measured where every object is "
        f"boxed. Targets below {SMALL_PX} pixels are also matched by their centres. "
        f"Ground truth: {findings.recalls_of}.",
        notes=notes,
        tables=tables,
    )


def _recalls(groups: Mapping[str, Mapping[str, float]], caption: str) -> list[Table]:
    """A table with a row per group of frames, headline figures first, and one of small targets, if any."""
    known = list(dict.fromkeys(name for figures in groups.values() for name in figures))
    small = [name for name in known if name.startswith("small_")]
    first = [name for name in RECALLS_ON_TOP if name in known]
    others = [name for name in known if name not in {*first, *small}]
    tables = []
    for columns, of in (([*first, *others], ""), (small, f": targets below {SMALL_PX} pixels")):
        rows: list[list[Value]] = [
            [group_title(group), *(figures.get(column) for column in columns)]
            for group, figures in groups.items()
            if any(column in figures for column in columns)
        ]
        heads = ["", *(column.removeprefix("small_").replace("_", " ") for column in columns)]
        tables += [Table(heads, rows, f"{caption}{of}")] if rows else []
    return tables


def _results(findings: Findings, scored: Scored, plots: Mapping[str, np.ndarray]) -> Section:
    above = {UNMEASURED, none_found(findings.recalls.get("all", {}))}
    overall = {MEASURES[name].title: groups["all"] for name, groups in scored.items() if groups}
    return Section(
        "Scores",
        "A prediction counts as correct if its IoU with a ground truth box is at least 0.5 (or 0.75, where "
        "stated). mAP as in COCO.",
        notes=[note for note in [*findings.notes, *findings.missing()] if note not in above],
        tables=[score_table(overall, "")] if overall else [],
        pictures=[(name.replace("_", " "), picture) for name, picture in plots.items()],
    )


def _measured(
    project: Project, findings: Findings, name: str, scores: Mapping[str, Mapping[str, float]]
) -> Section:
    params, measure = project.params.evaluation, MEASURES[name]
    wrong = findings.worst(name, params.confidence)
    tables = [score_table({video: some for video, some in scores.items() if video != "all"}, "video")]
    if name == "targets" and len(findings.labels):
        counted = Counter(
            zip(findings.labels["verdict"], findings.labels["reasons"].map(", ".join), strict=True)
        )
        rows = [[*verdict, count] for verdict, count in counted.most_common()]
        tables.append(Table(["verdict", "because", "labels"], rows, "Verdicts in frames with ground truth"))
    text = f"{measure.description} Frames with errors: {len(wrong)} of {len(findings.cases[name])}."
    text += f" Frames by source of ground truth: {_counts_in_words(findings.truth(name))}."

    def picture(case: Case) -> np.ndarray:
        if name == "model_test":
            file = f"{case.video}_{case.frame_index:06d}.jpg"
            return read_rgb(project.paths.dataset / "images" / "test" / file)
        # Decoded again, because all frames with ground truth would not fit into memory.
        (frame,) = read_frames(project.raw(case.video), {case.frame_index})
        return frame.rgb()

    shown = wrong[: params.worst_shown]
    pictures = [("Frames with the largest errors", case_sheet(shown, picture))] if shown else []
    return Section(measure.title, text, tables=tables, pictures=pictures)


def _training(project: Project, curves: np.ndarray) -> Section:
    """The training; of a training in rounds, what each round learned from."""
    section = _section("The training", of_project.finetuned_model(project), curves)
    file = project.paths.model / "rounds.csv"
    if not file.exists():
        return section
    caption = (
        "Boxes that each round learned from, by origin; `gotowce rounds` shows what the model of each sees"
    )
    return replace(section, tables=[Table.of(pd.read_csv(file), caption)])


def _review(project: Project, reviewed: Reviewed) -> Section:
    """Human review of the automatic labels: coverage and error rate."""
    if not reviewed["frames_reviewed"]:
        notes = ["no frame has been reviewed yet: run `gotowce review serve`, then `gotowce review push`"]
        return Section("Human review", notes=notes)
    notes = []
    if "error_rate" not in reviewed:
        notes.append(
            "no frame of the audit sample has been reviewed yet, so the error rate of the labels is unknown"
        )
    interval = project.params.review.audit.interval
    return Section(
        "Human review",
        "Reviews take precedence over automatic labels: the dataset contains accepted and corrected frames "
        "as reviewed, and no rejected ones. The error rate is the share of frames with a wrong automatic "
        f"label in the random audit sample, with its {interval:.0%} confidence interval (Wilson).",
        notes=notes,
        numbers=reviewed,
    )


def _counts_in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counts.items())


def _videos(project: Project) -> Section:
    """Numbers and notes of each step of each video, with pictures for the first videos."""
    shown = project.params.evaluation.videos_shown
    parts = []
    for number, video in enumerate(project.videos):
        parts.append(Section(video, parts=_steps(project, video, pictures=number < shown)))
    return Section("The videos, step by step", parts=parts)


def _steps(project: Project, video: str, pictures: bool) -> list[Section]:
    steps = []
    for title, (summary, draw) in _STEPS.items():
        try:
            picture = draw(project, video) if pictures and draw else None
            steps.append(_section(title, summary(project, video), picture))
        except GotowceError as error:
            steps.append(Section(title, notes=[str(error)]))
    return steps


def _section(title: str, summary: Summary, picture: np.ndarray | None = None) -> Section:
    shown = [("", picture)] if picture is not None else []
    return Section(title, notes=summary.notes, numbers=summary.numbers, pictures=shown)


def _ran(project: Project) -> Section:
    """Engines, their weights, the device, versions and all parameters."""
    engines: list[list[Value]] = []
    for stage, engine in project.engines.items():
        spec = EngineSpec.parse(engine)
        name = spec.weights or spec.name
        file = weights.find(name)
        digest = (
            content_sha256(file)[:16] if file else "random, no file" if name.endswith(".yaml") else "none"
        )
        engines.append([stage, engine, digest])
    flat = pd.json_normalize(project.params.model_dump()).iloc[0]
    settings: list[list[Value]] = [[str(name), str(value)] for name, value in flat.items()]
    return Section(
        "Environment and parameters",
        numbers={"device": best_device(), "Python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
        tables=[Table(["stage", "engine", "SHA-256 of its weights"], engines)],
        parts=[Section("Parameters", tables=[Table(["params.yaml", "value"], settings)])],
    )
