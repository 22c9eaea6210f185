"""Stage 3: the designators in every kept frame."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.detectors.detect import bill_in_words, detect_frames
from gotowce_dagster.detectors.profile import read_profile
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.errors import InputError
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import closeup
from gotowce_dagster.pictures.read import is_whole_jpeg, read_rgb
from gotowce_dagster.progress import Progress, silent, tracked
from gotowce_dagster.project import Project
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.tables import DETECTIONS, FRAMES, read_notes, read_table, read_unanswered, write_table

_SHOWN_WITH, _SHOWN_WITHOUT = 12, 4
_BOX = ["x1", "y1", "x2", "y2"]


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/detections/VIDEO.parquet, with notes: frames that a detector did not answer for,
    objects that too few detectors found, and what asking came to.

    A damaged picture is passed over and told of in the preview.

    Raises:
        InputError: the frames are not there yet, no picture of them is whole, or a detector or the
            profile is unknown.
    """
    params = project.params.designator_detections
    profile = read_profile(project.paths.profile(project.video(video).profile))
    detectors = build_detectors(params.detectors, profile)
    pictures = _pictures(project, video)
    whole = pictures[pictures.map(is_whole_jpeg)]
    if len(pictures) and whole.empty:
        raise InputError(f"{project.paths.frames(video)}: every picture is damaged; extract the frames again")

    def images() -> Iterator[tuple[int, np.ndarray]]:
        for frame_index, path in tracked(whole.items(), len(whole), progress):
            yield frame_index, read_rgb(path)

    rows = detect_frames(video, images(), detectors, params.consensus)
    write_table(rows, DETECTIONS, project.paths.detections(video), notes=rows.attrs)


def preview(project: Project, video: str) -> Preview:
    """How often a designator was found, and a sheet of frames with and without one."""
    rows = read_table(project.paths.detections(video), DETECTIONS)
    pictures = _pictures(project, video)
    damaged = pictures[~pictures.map(is_whole_jpeg).astype(bool)]
    looked_at = pictures.drop(damaged.index)
    found = rows["frame_index"].nunique()
    unanswered = read_unanswered(project.paths.detections(video))
    noted = read_notes(project.paths.detections(video))
    short, bills = noted.get("short", 0), noted.get("bills", {})
    numbers: dict[str, float | int | str] = {
        "frames": len(looked_at),
        "frames_with_designator": found,
        "frames_unanswered": len(unanswered),
        "detections": len(rows),
        "detection_rate": found / len(looked_at) if len(looked_at) else 0.0,
        "mean_confidence": float(rows["confidence"].mean()) if len(rows) else 0.0,
        "partly_hidden": int(rows["visible_corners"].lt(4).sum()),
        **{f"{name}_detections": int(count) for name, count in rows["prompt"].value_counts().items()},
    }
    notes = [f"{path.name} is damaged and was passed over; extract the frames again" for path in damaged[:5]]
    if len(damaged) > 5:
        notes.append(f"{len(damaged) - 5} more pictures are damaged")
    if unanswered:
        first, silent = next(iter(unanswered.items()))
        why = "; ".join(f"{name}: {words}" for name, words in silent.items())
        notes.append(
            f"no usable answer about {len(unanswered)} of {len(looked_at)} frames, which stay out of the "
            f"dataset; the first is frame {first}: {why}"
        )
    if short:
        numbers["objects_short_of_quorum"] = short
        notes.append(
            f"{short} objects were found by too few detectors for consensus.quorum and are left out unseen; "
            "lower it to have them reviewed"
        )
    for name, bill in bills.items():
        numbers |= {f"{name}_{what}": count for what, count in bill.items() if count is not None}
        notes.append(bill_in_words(name, bill))
    return Preview(numbers, _sheet(looked_at, rows), notes)


def _pictures(project: Project, video: str) -> pd.Series:
    """Paths of the kept frames' JPEGs by frame_index."""
    index = read_table(project.paths.frame_index(video), FRAMES)
    kept = index[index["kept"]].set_index("frame_index")["file"]
    folder = project.paths.frames(video)
    return kept.astype(object).map(lambda name: folder / name)


def _sheet(pictures: pd.Series, rows: pd.DataFrame) -> np.ndarray:
    with_mark = _spread(sorted(rows["frame_index"].unique()), _SHOWN_WITH)
    without = _spread(sorted(set(pictures.index) - set(rows["frame_index"])), _SHOWN_WITHOUT)
    images, captions = [], []
    for frame_index in with_mark:
        marks = rows[rows["frame_index"] == frame_index]
        first = marks.iloc[0]
        detections = sv.Detections(
            xyxy=marks[_BOX].to_numpy(float), data={"class_name": marks["class_name"].to_numpy(dtype=str)}
        )
        box = first[_BOX].to_numpy(float)
        images.append(closeup(read_rgb(pictures[frame_index]), detections, [""] * len(marks), box=box))
        captions.append(f"frame {frame_index}: {first['prompt']}\nconfidence {first['confidence']:.2f}")
    for frame_index in without:
        images.append(read_rgb(pictures[frame_index]))
        captions.append(f"frame {frame_index}:\nno designator found")
    return contact_sheet(images, captions)


def _spread(values: list[int], count: int) -> list[int]:
    """At most ``count`` of the values, evenly spaced."""
    places = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))
    return [values[place] for place in places]
