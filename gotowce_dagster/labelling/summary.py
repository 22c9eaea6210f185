"""Numbers and notes about the output of each step for a video, for its preview and the report."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import KEY
from gotowce_dagster.core.files import read_json
from gotowce_dagster.core.tables import FRAMES, LABELS, MASKS, read_table
from gotowce_dagster.detectors.detect import bill_in_words
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.pictures.read import is_whole_jpeg

VERDICTS = ("accept", "review", "reject")


@dataclass(frozen=True)
class Summary:
    """A stage's outputs in numbers and notes."""

    numbers: dict[str, float | int | str]
    notes: list[str] = field(default_factory=list)


def extracted_frames(project: Project, video: str) -> Summary:
    """Count frames sampled, kept, dropped and lost."""
    index = read_table(project.paths.frame_index(video), FRAMES)
    about = read_json(project.paths.frames(video) / "video.json", "run its stage again")
    kept = index["kept"]
    numbers: dict[str, float | int | str] = {
        "seconds": round(about.get("duration_s", 0.0), 2),
        "frames_sampled": len(index),
        "frames_kept": int(kept.sum()),
        **{f"dropped_{reason}": n for reason, n in index.loc[~kept, "reason"].value_counts().items()},
        "shots": index["shot"].nunique(),
        "frames_lost": about["lost"]["frames"],
    }
    return Summary(numbers, list(_losses(about, kept_any=bool(kept.any()))))


def designator_detections(project: Project, video: str) -> Summary:
    """Compute the detection rate, counts by detector, and the usage of hosted models."""
    paths = project.paths
    found = read_detected(paths.detections(video))
    rows = found.rows
    index = read_table(paths.frame_index(video), FRAMES)
    pictures = [paths.frames(video) / name for name in index.loc[index["kept"], "file"]]
    damaged = [picture.name for picture in pictures if not is_whole_jpeg(picture)]
    searched = len(pictures)
    marked = rows["frame_index"].nunique()
    numbers: dict[str, float | int | str] = {
        "frames": searched,
        "frames_with_designator": marked,
        "frames_unanswered": len(found.unanswered),
        "detections": len(rows),
        "detection_rate": marked / searched if searched else 0.0,
        "mean_confidence": float(rows["confidence"].mean()) if len(rows) else 0.0,
        "partly_hidden": int(rows["visible_corners"].lt(4).sum()),
        **{f"{name}_detections": int(count) for name, count in rows["prompt"].value_counts().items()},
    }
    notes = [
        f"{name} is damaged: its frame is excluded from the dataset; extract the frames again"
        for name in damaged[:5]
    ]
    if len(damaged) > 5:
        notes.append(f"{len(damaged) - 5} more images are damaged")
    if found.unanswered:
        first, failed = next(iter(found.unanswered.items()))
        why = "; ".join(f"{name}: {words}" for name, words in failed.items())
        notes.append(
            f"no usable response for {len(found.unanswered)} of {searched} frames, which are excluded from "
            f"the dataset; the first is frame {first}: {why}"
        )
    if found.short:
        numbers["objects_short_of_quorum"] = found.short
        notes.append(
            f"{found.short} objects were found by too few detectors for consensus.quorum and are left out; "
            "lower it to have them reviewed"
        )
    for name, bill in found.bills.items():
        numbers |= {f"{name}_{what}": count for what, count in bill.items() if count is not None}
        notes.append(bill_in_words(name, bill))
    return Summary(numbers, notes)


def masks(project: Project, video: str) -> Summary:
    """Count designators with a mask; in mode video also propagated masks by state."""
    rows = read_table(project.paths.masks(video), MASKS)
    designators = read_detected(project.paths.detections(video)).rows
    seen = rows[rows["rle"].notna()]
    marked = seen[KEY].merge(designators[KEY], on=KEY)
    numbers: dict[str, float | int | str] = {
        "designators": len(designators),
        "masks": len(seen),
        "without_mask": len(designators) - len(marked),
        "objects": rows["object_id"].nunique(),
        "median_area_px": float(seen["area_px"].median()) if len(seen) else 0.0,
        "median_agreement": float(seen["agreement"].median()) if seen["agreement"].notna().any() else 0.0,
        "segmenter": ", ".join(rows["segmenter"].unique()),
    }
    for state in rows["state"].dropna().unique():
        numbers[state] = int((rows["state"] == state).sum())
    return Summary(numbers)


def cleaned_labels(project: Project, video: str) -> Summary:
    """Count labels by verdict, and the reasons for not accepting them."""
    labels = read_table(project.paths.labels(video), LABELS)
    numbers: dict[str, float | int | str] = {
        verdict: int((labels["verdict"] == verdict).sum()) for verdict in VERDICTS
    }
    accepted = labels[labels["verdict"] == "accept"]
    numbers["median_quality"] = float(accepted["quality"].median()) if len(accepted) else 0.0
    counted = labels["reasons"].explode().value_counts()
    numbers |= {f"because_{reason}": int(count) for reason, count in counted.items()}
    why = {name: rule.why for name, rule in project.params.cleaned_labels.rules.items()}
    notes = [
        f"{count} × {reason}: {why.get(str(reason), 'no target found in the designator')}"
        for reason, count in counted.items()
    ]
    return Summary(numbers, notes)


def _losses(about: dict[str, Any], kept_any: bool) -> Iterator[str]:
    if error := about.get("error"):
        yield f"NO FRAME OF THIS VIDEO WAS USED. {error}"
        return
    lost = about["lost"]
    if lost["spans"]:
        first, last = lost["spans"][0], lost["spans"][-1]
        yield (
            f"{lost['frames']} of {about['frames']} frames could not be decoded, around "
            f"{first['time_s']:.1f} s" + (f" to {last['time_s']:.1f} s" if first != last else "")
        )
    if lost["damaged"]:
        yield f"{lost['damaged']} frames were decoded from corrupt data and are not kept"
    if lost["errors"]:
        yield f"Errors of the decoder: {'; '.join(lost['errors'])}"
    if not kept_any:
        yield "No frame was kept"
