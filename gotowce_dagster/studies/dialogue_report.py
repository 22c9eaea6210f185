"""Report page of the study `dialogue`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.comparison.cells import breakable, interval, number, whole, with_interval
from gotowce_dagster.config.params import DialogueParams
from gotowce_dagster.pictures.report import Section, Table, render_report

RESULTS, ANSWERS, BOXES, PICTURE, REPORT = (
    "rounds.csv", "answers.csv", "boxes.csv", "rounds.png", "report.html",
)  # fmt: skip
_TEXT = (
    "Does it help to talk with a hosted model: to let it refine its boxes, to count, to ask whether it is "
    "sure? In each round the model sees the frame and all that it answered before. Boxes of every round are "
    "evaluated by themselves, and against the round before on the same frames by paired bootstrap. An image "
    "without an answer leaves the dialogue. Prices are those of all answers, cached or not."
)
_MEASURES = {"f1_50": "F1", "precision_50": "precision", "recall_50": "recall", "mean_iou": "mean IoU"}


def report(
    conclusions: Sequence[str],
    notes: Sequence[str],
    table: pd.DataFrame,
    params: DialogueParams,
    pictures: Mapping[str, Sequence[tuple[str, np.ndarray]]],
) -> str:
    """Render the report page as HTML.

    Args:
        conclusions: one per model.
        notes: where the ground truth is from, and what could not run.
        table: from dialogue.results, of all models.
        pictures: captions and pictures of the boxes of each round, by model.
    """
    boxes, counts = (table[table["asks"] == asks] for asks in ("boxes", "count"))
    tables = [_boxes(boxes, params), _counts(counts) if len(counts) else None, _cost(table)]
    sections = [
        Section("Conclusion", _TEXT, [*conclusions, *notes]),
        Section("Rounds", tables=[one for one in tables if one]),
        Section("What was asked", tables=[_prompts(params)]),
    ]
    if pictured := {model: sheets for model, sheets in pictures.items() if sheets}:
        parts = [Section(model, pictures=sheets) for model, sheets in pictured.items()]
        sections.append(Section("Boxes of each round", "White: ground truth.", parts=parts))
    numbers = {
        "models": table["model"].nunique(),
        "rounds": table["round"].nunique(),
        "frames": int(table["frames"].max()),
        "with ground truth": int(table["scored_frames"].max()),
    }
    return render_report("Dialogue", numbers, sections, int(params.pictures_mb * 1e6))


def _boxes(table: pd.DataFrame, params: DialogueParams) -> Table:
    headings = ["model", "round", "target", "frames", "usable", "ground truth", "found", *_MEASURES.values()]
    headings += ["F1 against the round before", "frames improved", "frames worse"]
    rows = [
        [
            breakable(row["model"]),
            row["round"],
            row["truth"],
            row["frames"],
            row["usable"],
            int(row["truths"]),
            int(row["boxes"]),
            *(with_interval(row, measure) for measure in _MEASURES),
            "–"
            if pd.isna(row["gain"])
            else f"{row['gain']:+.2f}" + interval(row["gain_low"], row["gain_high"], "+.2f"),
            *(None if pd.isna(row[name]) else int(row[name]) for name in ("improved", "worse")),
        ]
        for row in table.to_dict("records")
    ]
    return Table(headings, rows, f"Boxes at IoU 0.5, with {params.interval:.0%} intervals over the frames")


def _counts(table: pd.DataFrame) -> Table:
    rows = [
        [
            breakable(row["model"]),
            row["round"],
            row["usable"],
            int(row["scored_frames"]),
            "–" if pd.isna(row["exact_share"]) else f"{row['exact_share']:.0%}",
            number(row["count_error"]),
        ]
        for row in table.to_dict("records")
    ]
    headings = ["model", "round", "usable", "with ground truth", "right", "mean error"]
    return Table(headings, rows, "Counts against the number of ground-truth boxes")


def _cost(table: pd.DataFrame) -> Table:
    rows = [
        [
            breakable(row["model"]),
            row["round"],
            *(whole(row[name] / max(row["frames"], 1)) for name in ("tokens_in", "tokens_out")),
            number(row["seconds"]),
            "unknown" if pd.isna(row["money_per_1000"]) else f"{row['money_per_1000']:.2f}",
        ]
        for row in table.to_dict("records")
    ]
    headings = [
        "model",
        "round",
        "input tokens per frame",
        "output tokens per frame",
        "s per answer",
        "$ per 1,000 frames",
    ]
    return Table(headings, rows, "Cost; every round sends the image and the dialogue before it again")


def _prompts(params: DialogueParams) -> Table:
    rows = [[one.name, one.asks, one.prompt] for one in params.rounds]
    return Table(["round", "asks for", "prompt"], rows, "Prompts, as in params.yaml")
