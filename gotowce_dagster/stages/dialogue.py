"""Study: what each round of a dialogue with hosted models brings, and what it costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gotowce_dagster.comparison.accuracy import Bootstrap
from gotowce_dagster.comparison.footage import Sample, sample
from gotowce_dagster.comparison.pictures import side_by_side
from gotowce_dagster.comparison.project_footage import with_truth_or_labels
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, in_one_bar, silent
from gotowce_dagster.detectors.obstacles import obstacle
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.studies.dialogue import answers_of, boxes_of, conclusion, found_in, results
from gotowce_dagster.studies.dialogue_report import ANSWERS, BOXES, PICTURE, REPORT, RESULTS, report

if TYPE_CHECKING:
    from gotowce_dagster.detectors.hosted.dialogue import Turn

NAME = "dialogue"


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/dialogue: rounds.csv, answers.csv, boxes.csv, rounds.png and report.html.

    Raises:
        InputError: a video, its truth, reviews or labels cannot be read; no model can run; or an answer is
            not cached and a model's settings do not allow sending, with what would be sent at what price.
        BudgetSpentError: a model's budget does not suffice; its answers so far are cached.
    """
    project.require_raw()
    params = project.params.dialogue
    reasons = {name: obstacle(settings) for name, settings in params.models.items()}
    able = {name: settings for name, settings in params.models.items() if reasons[name] is None}
    not_run = [f"{name} did not run: {reason}" for name, reason in reasons.items() if reason]
    if not able:
        raise InputError(f"no model can run: {'; '.join(not_run)}")
    from gotowce_dagster.detectors.hosted.dialogue import Round, converse  # needs an extra
    from gotowce_dagster.detectors.hosted.vision_llm import Hosted

    rounds = [Round(one.name, one.asks, one.prompt) for one in params.rounds]
    footage, reference = with_truth_or_labels(project)
    with TemporaryDirectory(prefix="gotowce_") as folder:
        chosen = sample(footage, params.frames, Path(folder) / "frames")
        images = [read_rgb(picture.file) for picture in chosen.pictures]
    start = in_one_bar(progress, len(able))
    turns = {
        name: converse(Hosted(name, settings), images, rounds, start(name)) for name, settings in able.items()
    }
    bootstrap = Bootstrap(params.bootstrap, params.interval, params.seed)
    table = pd.concat(
        [results(name, of_model, chosen, params.truth, bootstrap) for name, of_model in turns.items()]
    )
    places = evenly(len(images), params.frames_shown).tolist()
    shown = {chosen.pictures[place].frame: images[place] for place in places}
    sheets = {name: _sheets(of_model, chosen, shown) for name, of_model in turns.items()}
    conclusions = [conclusion(table, name) for name in able]
    page = report(conclusions, [reference, *chosen.notes, *not_run], table, params, sheets)
    with fresh_dir(project.paths.study(NAME)) as new:
        table.to_csv(new / RESULTS, index=False)
        for file, of in {ANSWERS: answers_of, BOXES: boxes_of}.items():
            pd.concat([of(name, t, chosen) for name, t in turns.items()]).to_csv(new / file, index=False)
        if first := next((some for some in sheets.values() if some), None):
            write_picture(first[0][1], new / PICTURE)
        (new / REPORT).write_text(page, encoding="utf-8")


def _sheets(
    turns: Sequence["Turn"], chosen: Sample, images: Mapping[tuple[str, int], np.ndarray]
) -> list[tuple[str, np.ndarray]]:
    """The boxes of each round in some frames; none if no frame is to be shown."""
    found = {turn.round.name: found_in(turn, chosen) for turn in turns if turn.round.asks == "boxes"}
    truth = {
        frame: np.concatenate([chosen.boxes(frame, label) for label in ("designator", "object")])
        for frame in images
    }
    return side_by_side(images, found, truth) if images else []
