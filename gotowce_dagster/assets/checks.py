"""Asset checks that stop a run before bad data reaches the next stage."""

import warnings

import dagster as dg

from gotowce_dagster.assets.model import evaluation, finetuned_model, yolo_dataset
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.review import reviewed_labels
from gotowce_dagster.assets.videos import cleaned_labels, designator_detections, extracted_frames, masks
from gotowce_dagster.cluster.node import pull_outputs
from gotowce_dagster.cluster.slices import is_slice
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import read_json
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, LABELS, read_table
from gotowce_dagster.previews.found_nothing import found_nothing
from gotowce_dagster.review.measures import reviewed_so_far
from gotowce_dagster.training.model_folder import read_metrics

# Partitioned checks are in preview since 1.10; the version is pinned.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def _result(
    problem: str | None, severity: dg.AssetCheckSeverity = _ERROR, **numbers: float | int | str
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=problem is None, severity=severity, description=problem or "passed", metadata=numbers
    )


def _labelled(context: dg.AssetCheckExecutionContext, *stages: str) -> tuple[Project, str]:
    """The project and the video of a check, with the outputs of these stages of the video.

    On a node of a cluster another one may have made them: a run that is launched again repeats no stage that
    succeeded, only the checks after it.
    """
    project, video = Project.find(), context.partition_key
    if is_slice(project.paths):
        pull_outputs(context.instance, project, video, *stages)
    return project, video


@dg.asset_check(asset=extracted_frames, blocking=True, partitions_def=VIDEOS)
def frames_exist(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """The video has kept frames, and all their image files exist."""
    project, video = _labelled(context, "extracted_frames")
    paths = project.paths
    index = read_table(paths.frame_index(video), FRAMES)
    kept = index[index["kept"]]
    missing = [name for name in kept["file"] if not (paths.frames(video) / name).is_file()]
    problem = None
    if kept.empty:
        problem = f"{video}: no frame was kept of {len(index)} sampled; see the notes of extracted_frames"
    elif missing:
        problem = f"{video}: {len(missing)} images are missing, the first is {missing[0]}; extract again"
    return _result(problem, frames=len(kept))


@dg.asset_check(asset=designator_detections, blocking=True, partitions_def=VIDEOS)
def detection_rate_plausible(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """The number of designators per frame is above zero and below the plausible maximum."""
    project, video = _labelled(context, "extracted_frames", "designator_detections")
    index = read_table(project.paths.frame_index(video), FRAMES)
    found = read_table(project.paths.detections(video), DETECTIONS)
    per_frame = len(found) / max(int(index["kept"].sum()), 1)
    limit = project.params.designator_detections.max_per_frame
    if per_frame > limit:
        problem = (
            f"{video}: {per_frame:.1f} designators per frame, more than {limit}; calibrate its profile again"
        )
        return _result(problem, per_frame=per_frame)
    problem = found_nothing(project, "designator_detections", video)
    return _result(problem, _WARN, per_frame=per_frame)


@dg.asset_check(asset=masks, partitions_def=VIDEOS)
def any_mask(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """At least one designator has a mask."""
    project, video = _labelled(context, "extracted_frames", "designator_detections", "masks")
    return _result(found_nothing(project, "masks", video), _WARN)


@dg.asset_check(asset=cleaned_labels, partitions_def=VIDEOS)
def any_label_accepted(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """At least one label of the video is accepted."""
    project, video = _labelled(context, "cleaned_labels")
    return _result(found_nothing(project, "cleaned_labels", video), _WARN)


@dg.asset_check(asset=yolo_dataset)
def every_video_in_dataset() -> dg.AssetCheckResult:
    """Every video has at least one object in the dataset."""
    return _result(found_nothing(Project.find(), "yolo_dataset", None), _WARN)


@dg.asset_check(asset=cleaned_labels, blocking=True, partitions_def=VIDEOS)
def labels_inside_image(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Every accepted label is a box inside its frame."""
    project, video = _labelled(context, "cleaned_labels")
    labels = read_table(project.paths.labels(video), LABELS)
    accepted = labels[labels["verdict"] == "accept"]
    inside = (
        accepted["x1"].ge(0)
        & accepted["y1"].ge(0)
        & accepted["x2"].le(accepted["width"])
        & accepted["y2"].le(accepted["height"])
        & accepted["x1"].lt(accepted["x2"])
        & accepted["y1"].lt(accepted["y2"])
    )
    outside = sorted(accepted.loc[~inside, "frame_index"])
    problem = f"{video}: labels outside the image in frames {outside[:5]}" if outside else None
    return _result(problem, accepted=len(accepted))


@dg.asset_check(asset=reviewed_labels)
def automatic_labels_right_enough() -> dg.AssetCheckResult:
    """The error rate of automatic labels in the audit sample is below the limit."""
    project = Project.find()
    metrics = reviewed_so_far(project.paths, project.videos, project.params)
    limit = project.params.review.sensor.max_error_rate
    numbers = {name: metrics[name] for name in ("error_rate_low", "error_rate_high") if name in metrics}
    problem = None
    if metrics.get("error_rate_low", 0.0) > limit:
        problem = (
            f"{metrics['audit_wrong']} of {metrics['audit_frames']} audited frames have a wrong automatic "
            f"label: {metrics['error_rate_low']:.0%} to {metrics['error_rate_high']:.0%} of all, more than "
            f"{limit:.0%}; see what reviewers changed, and tighten cleaned_labels.rules"
        )
    return _result(problem, _WARN, audit_frames=metrics.get("audit_frames", 0), **numbers)


@dg.asset_check(asset=yolo_dataset, blocking=True)
def split_leak_free() -> dg.AssetCheckResult:
    """No frame of validation or test has a neighbour or a near-duplicate in training."""
    from gotowce_dagster.labels.provenance import leaks

    found = leaks(Project.find())
    return _result("; ".join(found[:3]) if found else None, leaks=len(found))


@dg.asset_check(asset=evaluation)
def sees_targets_not_marks() -> dg.AssetCheckResult:
    """The model finds marked targets, and nearly as often when their marks are erased."""
    from gotowce_dagster.evaluation.recalls import LEAST_OF_MARKED, RECALLS_ON_TOP, none_found

    metrics = read_json(Project.find().paths.evaluation / "metrics.json", "run evaluation again")
    recalls = metrics["recalls"]["all"]
    numbers = {name: recalls[name] for name in RECALLS_ON_TOP if name in recalls}
    if "erased_recall" not in recalls:
        return _result("unmeasured: no frame has a mark that could be erased", _WARN)
    problem = none_found(recalls)
    if recalls["erased_recall"] < LEAST_OF_MARKED * recalls["marked_recall"]:
        problem = (
            f"recall is {recalls['erased_recall']:.2f} with marks erased and "
            f"{recalls['marked_recall']:.2f} with them, of {recalls['marked_targets']} targets: the model "
            f"has learned the mark; raise finetuned_model.crops.erased"
        )
    return _result(problem, _WARN, **numbers)


@dg.asset_check(asset=finetuned_model, blocking=True)
def model_better_than_nothing() -> dg.AssetCheckResult:
    """The model's mAP50 on the validation frames reaches the minimum."""
    project = Project.find()
    metrics = read_metrics(project.paths.model)
    score, least = metrics["mAP50"], project.params.finetuned_model.least_map50
    if score >= least:
        return _result(None, mAP50=score)
    start = project.engines["finetuned_model"]
    problem = (
        f"mAP50 on the validation frames is {score:.3f}, below {least}; the training started from {start}"
    )
    # From random weights a short training may learn nothing; the report still shows it.
    return _result(problem, _WARN if start.endswith(".yaml") else _ERROR, mAP50=score)
