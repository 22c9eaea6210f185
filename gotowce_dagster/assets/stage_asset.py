"""The assets of the stages: bring one up to date through DVC and describe its outputs."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import dagster as dg

from gotowce_dagster.assets.materialize import materialize
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.reporting import ProgressOf
from gotowce_dagster.stages.table import STAGES

Callbacks = Mapping[str, Callable[..., None]]


class _Declared(NamedTuple):
    """What Dagster shows of a stage's asset."""

    kinds: set[str]
    """Tags that are shown as icons."""
    deps: list[str]
    """Assets whose outputs or videos the stage reads."""
    description: str


# fmt: off
_DECLARED = {
    "extracted_frames": _Declared({"opencv"}, ["raw_videos"],
        "Frames sampled from the video, without near-duplicates and recording stalls, with an index."),
    "designator_detections": _Declared({"opencv"}, ["raw_videos", "extracted_frames"],
        "Boxes of the designators that the game drew around its targets."),
    "masks": _Declared({"pytorch"}, ["raw_videos", "extracted_frames", "designator_detections"],
        "Masks of the targets inside designators, in mode video propagated between frames, with scores."),
    "cleaned_labels": _Declared({"pandas"}, ["extracted_frames", "designator_detections", "masks"],
        "Candidate labels with verdict, reasons and scores; rejected ones are kept too."),
    "yolo_dataset": _Declared({"yolo"},
        ["extracted_frames", "designator_detections", "masks", "cleaned_labels", "reviewed_labels"],
        "YOLO dataset of accepted and reviewed labels, with leak-free splits."),
    "finetuned_model": _Declared({"yolo", "pytorch"}, ["yolo_dataset"],
        "YOLO detector fine-tuned on the dataset; an interrupted training resumes at its last epoch."),
    "evaluation": _Declared({"html"},
        ["raw_videos", "extracted_frames", "designator_detections", "masks", "cleaned_labels",
         "reviewed_labels", "yolo_dataset", "finetuned_model"],
        "Report on detections, labels and model, evaluated against ground truth and held-out frames."),
    "segment_everything": _Declared({"pytorch"}, ["raw_videos"],
        "Segmentation without prompts by SAM 2 and superpixels: segments, seconds, and best fit."),
    "detector_comparison": _Declared({"html"}, ["raw_videos"],
        "Comparison of all detectors in params.yaml on the same frames: accuracy, seconds, memory, cost."),
    "mark_colours": _Declared({"html"}, ["raw_videos", "designator_detections"],
        "Colours of designators and of the background, and the threshold that separates them best."),
    "crop_sensitivity": _Declared({"html"}, ["raw_videos", "designator_detections"],
        "Descriptions of growing crops around marks: the context up to which a model notices the mark."),
    "vocabulary": _Declared({"html"}, ["raw_videos"],
        "Prompts looked up in the vocabularies of detection datasets, and the detections for each word."),
    "prompt_inputs": _Declared({"html"},
        ["raw_videos", "extracted_frames", "cleaned_labels", "reviewed_labels"],
        "The same detectors on raw, thresholded, cropped and tiled frames: accuracy, seconds, pictures."),
    "dialogue": _Declared({"html"},
        ["raw_videos", "extracted_frames", "cleaned_labels", "reviewed_labels"],
        "Rounds of a dialogue with hosted models (detect, refine, count, are you sure): accuracy and price."),
}
# fmt: on
_WITHOUT_GPU = {"extracted_frames", "cleaned_labels", "yolo_dataset", "mark_colours", "dialogue"}


def no_callbacks(context: dg.AssetExecutionContext) -> Callbacks:
    """The callbacks of a stage that reports only its progress."""
    return {}


def stage_asset(
    name: str,
    group: str,
    callbacks: Callable[[dg.AssetExecutionContext], Callbacks] = no_callbacks,
) -> dg.AssetsDefinition:
    """Define the asset of a stage; a stage of one video has a partition per video.

    Stages that use the GPU wait for each other.

    Args:
        name: the stage's name in stages/table.py.
        callbacks: other reports of the stage, by the name of the argument of its ``run``.
    """
    declared, uses_gpu = _DECLARED[name], name not in _WITHOUT_GPU

    @dg.asset(
        name=name,
        description=declared.description,
        deps=declared.deps,
        partitions_def=VIDEOS if STAGES[name].per_video else None,
        group_name=group,
        kinds=declared.kinds,
        pool="gpu" if uses_gpu else None,
    )
    def asset(
        context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
    ) -> dg.MaterializeResult:
        return materialize(context, progress, **callbacks(context))

    return asset
