"""Study: up to what context a describing model notices the mark."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import DETECTIONS, read_table
from gotowce_dagster.detectors.describe import build_describer, obstacle
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.studies.crop_sensitivity import answer, find_words, neighbourhood, shares
from gotowce_dagster.studies.crop_sensitivity_report import (
    DESCRIPTIONS,
    NEIGHBOURS,
    PICTURE,
    REPORT,
    SHARES,
    report,
    shares_figure,
)
from gotowce_dagster.studies.crops import grown, offsets
from gotowce_dagster.studies.words import Language
from gotowce_dagster.video.decode import read_frames

NAME = "crop_sensitivity"
_AT_ONCE, _SHOWN = 16, 12


@dataclass(frozen=True, eq=False)
class Sample:
    """One random crop."""

    video: str
    frame_index: int
    max_offset: int
    iteration: int
    window: Crop
    image: np.ndarray


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/crop_sensitivity: descriptions, shares and neighbours as CSV, and report.html.

    Raises:
        InputError: a video or its detections cannot be read, nothing was detected, or no describer can run.
        MissingExtraError: spaCy is not installed.
    """
    project.require_raw()
    params = project.params.crop_sensitivity
    language = Language(tuple(params.language_model))
    language.lemmas(params.words[0])  # before minutes of descriptions
    reasons = {name: obstacle(settings) for name, settings in params.describers.items()}
    able = {name: settings for name, settings in params.describers.items() if reasons[name] is None}
    not_run = [f"{name} did not run: {reason}" for name, reason in reasons.items() if reason]
    if not able:
        raise InputError(f"no describer can run: {'; '.join(not_run)}")
    samples = list(_samples(project))
    if not samples:
        raise InputError("no designator was detected in any video, so there is nothing to crop around")
    rows, total = [], len(samples) * len(able)
    progress(0, total)
    for name, settings in able.items():
        describer = build_describer(name, settings)
        for start in range(0, len(samples), _AT_ONCE):
            part = samples[start : start + _AT_ONCE]
            texts = describer.describe([sample.image for sample in part])
            rows += [_row(name, sample, text) for sample, text in zip(part, texts, strict=True)]
            progress(len(rows), total)
    descriptions = pd.DataFrame(rows)
    found = find_words(descriptions, params.words, language)
    table = shares(found, params.interval)
    beside = neighbourhood(descriptions, params.words, language, params.neighbours)
    answers = {name: answer(table, name, params.least_share) for name in able}
    figures = {name: shares_figure(table, name, params.least_share) for name in able}
    sheets = {name: _sheet(samples, descriptions[descriptions["describer"] == name]) for name in able}
    with fresh_dir(project.paths.study(NAME)) as new:
        descriptions.to_csv(new / DESCRIPTIONS, index=False)
        table.to_csv(new / SHARES, index=False)
        beside.to_csv(new / NEIGHBOURS, index=False)
        write_picture(next(iter(figures.values())), new / PICTURE)
        page = report(answers, not_run, shares=table, neighbours=beside, figures=figures, sheets=sheets)
        (new / REPORT).write_text(page, encoding="utf-8")


def _samples(project: Project) -> list[Sample]:
    """All crops: of the surest detection of frames spread over the videos."""
    params = project.params.crop_sensitivity
    random = np.random.default_rng(params.seed)
    samples = []
    for place, video in enumerate(project.videos):
        wanted = params.frames // len(project.videos) + (place < params.frames % len(project.videos))
        detections = read_table(project.paths.detections(video), DETECTIONS)
        surest = detections.sort_values("confidence", ascending=False).drop_duplicates("frame_index")
        boxes = surest.set_index("frame_index")[list(BOX)].sort_index()
        places = np.unique(((np.arange(wanted) + 0.5) * len(boxes) / max(wanted, 1)).astype(int))
        chosen = boxes.iloc[places] if len(boxes) else boxes
        for frame in read_frames(project.raw(video), chosen.index.tolist()) if len(chosen) else ():
            image = frame.rgb()
            size = (image.shape[1], image.shape[0])
            for most in offsets(size, params.steps):
                for iteration in range(params.iterations):
                    window = grown(chosen.loc[frame.index].to_numpy(float), most, size, random)
                    piece = np.ascontiguousarray(window.cut(image))
                    samples.append(Sample(video, frame.index, most, iteration, window, piece))
    return samples


def _row(describer: str, sample: Sample, text: str | None) -> dict[str, object]:
    x1, y1, x2, y2 = sample.window.box
    return {
        "describer": describer,
        "video": sample.video,
        "frame_index": sample.frame_index,
        "max_offset": sample.max_offset,
        "iteration": sample.iteration,
        "x1": x1,
        "y1": y1,
        "width": x2 - x1,
        "height": y2 - y1,
        "description": text,
    }


def _sheet(samples: list[Sample], descriptions: pd.DataFrame) -> np.ndarray:
    """Some crops from the tightest to the widest, with their descriptions."""
    order = np.argsort([sample.max_offset for sample in samples], kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).round().astype(int)]
    texts = descriptions["description"].tolist()
    captions = [
        f"{samples[n].max_offset} px\n{_wrapped(texts[n] or 'no usable description')}" for n in chosen
    ]
    return contact_sheet([samples[n].image for n in chosen], captions, columns=4)


def _wrapped(text: str, width: int = 44) -> str:
    return f"{text[:width]}\n{text[width : 2 * width]}"
