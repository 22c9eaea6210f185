"""Study: what a detector should be shown: raw, thresholded, cropped or tiled frames."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gotowce_dagster.comparison.compare import Comparison, compare
from gotowce_dagster.comparison.contenders import detector, target_of
from gotowce_dagster.comparison.footage import sample
from gotowce_dagster.comparison.pictures import side_by_side
from gotowce_dagster.comparison.project_footage import with_truth_or_labels
from gotowce_dagster.config.params import PromptInputsParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, in_one_bar, silent
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.studies.prompt_inputs import Variant, conclusion, results, seen, variants
from gotowce_dagster.studies.prompt_inputs_report import (
    BOXES,
    PICTURE,
    REPORT,
    RESULTS,
    report,
    seen_sheet,
)

NAME = "prompt_inputs"


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/prompt_inputs: inputs.csv, boxes.csv, seen.png and report.html.

    Raises:
        InputError: a video, its truth, reviews or labels cannot be read, or a video is not pulled.
    """
    project.require_raw()
    params = project.params.prompt_inputs
    shown = variants(params)
    contenders = [
        detector(one.name, one.settings, target_of(one.detector, one.settings.kind, params)) for one in shown
    ]
    footage, reference = with_truth_or_labels(project)
    with TemporaryDirectory(prefix="gotowce_") as folder:
        chosen = sample(footage, params.frames, Path(folder) / "frames")
        start = in_one_bar(progress, sum(contender.obstacle is None for contender in contenders))
        comparison = compare(contenders, chosen, params, Path(folder), start)
        sheet, compared = _pictures(comparison, shown, params)
    table = results(comparison, shown)
    failures = [
        f"{row['name']}: {row['status']}: {row['reason']}"
        for row in table.to_dict("records")
        if row["reason"]
    ]
    conclusions = [conclusion(table, name) for name in params.detectors]
    notes = [reference, *chosen.notes, *failures]
    page = report(conclusions, notes, table, params, seen=sheet, compared=compared)
    with fresh_dir(project.paths.study(NAME)) as new:
        table.to_csv(new / RESULTS, index=False)
        comparison.boxes.to_csv(new / BOXES, index=False)
        if sheet is not None:
            write_picture(sheet, new / PICTURE)
        (new / REPORT).write_text(page, encoding="utf-8")


def _pictures(
    comparison: Comparison, shown: Sequence[Variant], params: PromptInputsParams
) -> tuple[np.ndarray | None, dict[str, list[tuple[str, np.ndarray]]]]:
    """What detectors see in some frames, and what each finds; none if no frame is to be shown."""
    sample = comparison.sample
    truth = {
        picture.frame: np.concatenate(
            [sample.boxes(picture.frame, label) for label in ("designator", "object")]
        )
        for picture in sample.pictures
    }
    # Frames with something to find, if there are any.
    pictures = [one for one in sample.pictures if len(truth[one.frame])] or sample.pictures
    some = [pictures[place] for place in evenly(len(pictures), params.frames_shown)]
    if not some:
        return None, {}
    images = {picture.frame: read_rgb(picture.file) for picture in some}
    rows = []
    for picture in some:
        profile = read_profile(picture.profile)
        pieces = {
            name: seen(images[picture.frame], settings, profile) for name, settings in params.inputs.items()
        }
        rows.append((f"{picture.video} frame {picture.frame_index}", pieces, truth[picture.frame]))
    compared = {}
    for name in params.detectors:
        found = {
            one.input: comparison.runs[one.name].found
            for one in shown
            if one.detector == name and comparison.runs[one.name].frames
        }
        if found:
            compared[name] = side_by_side(images, found, truth, columns=len(found))
    return seen_sheet(rows), compared
