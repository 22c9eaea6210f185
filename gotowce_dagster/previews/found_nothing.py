"""Warnings for empty results: not an error, because a video may show no target, but always reported."""

from collections.abc import Callable

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, LABELS, MASKS, PROVENANCE, read_table
from gotowce_dagster.designators.profile import read_profile

_CALIBRATE = (
    "This is correct only if the video shows none; otherwise calibrate a profile on it (`gotowce "
    "calibrate`), or add its name to a profile's `videos`, then run `gotowce sync`"
)


def found_nothing(project: Project, stage: str, video: str | None) -> str | None:
    """Describe a stage's empty result, what produced it and what to do; None if the result is not empty.

    Raises:
        InputError: a table of the stage, or of an earlier one, is missing or damaged.
    """
    if stage == "yolo_dataset":
        return _dataset(project)
    if video is None or stage not in _OF_VIDEO:
        return None
    return _OF_VIDEO[stage](project, video)


def _detections(project: Project, video: str) -> str | None:
    if len(read_table(project.paths.detections(video), DETECTIONS)):
        return None
    frames = int(read_table(project.paths.frame_index(video), FRAMES)["kept"].sum())
    configured = project.params.designator_detections.detectors
    detectors = ", ".join(f"{name} ({settings.kind})" for name, settings in configured.items())
    name = project.video(video).profile
    marks = [mark.name for mark in read_profile(project.paths.profile(name)).designators]
    profile = f"the profile {name} ({', '.join(marks) or 'which describes no designator'})"
    return (
        f"{video}: no designator found in any of {frames} frames by {detectors} with {profile}. {_CALIBRATE}"
    )


def _masks(project: Project, video: str) -> str | None:
    masks = read_table(project.paths.masks(video), MASKS)
    if masks["rle"].notna().any():
        return None
    marks = len(read_table(project.paths.detections(video), DETECTIONS))
    if not marks:
        return f"{video}: no mask, because no designator was found"
    return (
        f"{video}: no mask in any of {marks} designators by {project.engines['masks']}. Check the contact "
        f"sheet of designator_detections for false positives; `gotowce doctor --all` lists the segmenters "
        f"that can run"
    )


def _labels(project: Project, video: str) -> str | None:
    labels = read_table(project.paths.labels(video), LABELS)
    if (labels["verdict"] == "accept").any():
        return None
    if labels.empty:
        return f"{video}: no label, because no designator was found"
    reasons = labels["reasons"].explode().value_counts().head(3)
    why = ", ".join(f"{reason} ({count})" for reason, count in reasons.items())
    doubtful = int((labels["verdict"] == "review").sum())
    return (
        f"{video}: none of {len(labels)} labels was accepted, most often because of {why}; {doubtful} need "
        f"review. See the contact sheet of cleaned_labels; the thresholds are in params.yaml under "
        f"cleaned_labels.rules"
    )


def _dataset(project: Project) -> str | None:
    """Report videos without an object in the dataset; without any object at all, the stage itself fails."""
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    shown = set(rows.loc[rows["objects"] > 0, "video"])
    # A video without labels has a note of its own.
    absent = [v for v in project.videos if v not in shown and project.paths.labels(v).exists()]
    if not absent:
        return None
    return (
        f"the dataset contains no object of {', '.join(absent)}. This is correct only if they show no "
        f"target; otherwise see the notes of their designator_detections, masks and cleaned_labels, and "
        f"left_out.csv of the dataset"
    )


_OF_VIDEO: dict[str, Callable[[Project, str], str | None]] = {
    "designator_detections": _detections,
    "masks": _masks,
    "cleaned_labels": _labels,
}
