"""Study: up to what context a describing model notices the mark."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.detectors.describe import build_describer, obstacle
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.studies.crop_samples import row_of, samples_of
from gotowce_dagster.studies.crop_sensitivity import answer, find_words, neighbourhood, shares
from gotowce_dagster.studies.crop_sensitivity_report import (
    DESCRIPTIONS,
    NEIGHBOURS,
    PICTURE,
    REPORT,
    SHARES,
    report,
    shares_figure,
    sheet,
)
from gotowce_dagster.studies.words import Language

NAME = "crop_sensitivity"
_AT_ONCE = 16


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
    samples = list(samples_of(project))
    if not samples:
        raise InputError("no designator was detected in any video, so there is nothing to crop around")
    rows, total = [], len(samples) * len(able)
    progress(0, total)
    for name, settings in able.items():
        describer = build_describer(name, settings)
        for start in range(0, len(samples), _AT_ONCE):
            part = samples[start : start + _AT_ONCE]
            texts = describer.describe([sample.image for sample in part])
            rows += [row_of(name, sample, text) for sample, text in zip(part, texts, strict=True)]
            progress(len(rows), total)
    descriptions = pd.DataFrame(rows)
    found = find_words(descriptions, params.words, language)
    table = shares(found, params.interval)
    beside = neighbourhood(descriptions, params.words, language, params.neighbours)
    answers = {name: answer(table, name, params.least_share) for name in able}
    figures = {name: shares_figure(table, name, params.least_share) for name in able}
    sheets = {name: sheet(samples, descriptions[descriptions["describer"] == name]) for name in able}
    with fresh_dir(project.paths.study(NAME)) as new:
        descriptions.to_csv(new / DESCRIPTIONS, index=False)
        table.to_csv(new / SHARES, index=False)
        beside.to_csv(new / NEIGHBOURS, index=False)
        write_picture(next(iter(figures.values())), new / PICTURE)
        page = report(answers, not_run, shares=table, neighbours=beside, figures=figures, sheets=sheets)
        (new / REPORT).write_text(page, encoding="utf-8")
