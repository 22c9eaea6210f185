"""Pictures and report page of the study `prompt_inputs`."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.comparison.cells import (
    breakable,
    duration,
    interval,
    money,
    number,
    whole,
    with_interval,
)
from gotowce_dagster.config.detector_settings import InputSettings
from gotowce_dagster.config.params import PromptInputsParams
from gotowce_dagster.core.boxes import centres
from gotowce_dagster.detectors.inputs import Piece
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.report import Section, Table, render_report

RESULTS, BOXES, PICTURE, REPORT = "inputs.csv", "boxes.csv", "seen.png", "report.html"
_WIDTH = 1320
_TEXT = (
    "What should a detector be shown: the whole frame, only the pixels that pass the threshold of the mark's "
    "colour, a crop around a detection, or tiles? Every detector is shown the same frames in each form; its "
    "boxes are mapped back to the frame and evaluated there. Differences are between an input and the "
    "baseline, by paired bootstrap over the frames."
)
_ACCURACY = (
    "If ground truth of objects boxes only the marked targets, every other object that is found counts as a "
    "false positive: then compare recall, not precision, F1 and AP."
)
_MEASURES = {
    "f1_50": "F1",
    "precision_50": "precision",
    "recall_50": "recall",
    "mean_iou": "mean IoU",
    "ap_50": "AP",
}


def seen_sheet(
    rows: Sequence[tuple[str, Mapping[str, Sequence[Piece]], np.ndarray]],
) -> np.ndarray:
    """Draw what a detector sees: one row per frame, one column per input.

    Args:
        rows: of each frame its name, the pieces by input, and the ground-truth boxes, xyxy (n, 4), drawn
            white.

    Returns:
        RGB uint8 (H, W, 3).
    """
    tiles, captions = [], []
    columns = max((len(pieces) for _, pieces, _ in rows), default=1)
    width = _WIDTH // columns - 8
    for frame, of_inputs, truth in rows:
        for name, pieces in of_inputs.items():
            if not pieces:
                tiles.append(np.zeros((width * 9 // 16, width, 3), np.uint8))
                captions.append(f"{name}\nnothing is shown\n{frame}")
                continue
            piece = _telling(pieces, truth)
            height, side = piece.image.shape[:2]
            tiles.append(_drawn(piece, truth, width))
            count = "" if len(pieces) == 1 else f"1 of {len(pieces)}, "
            captions.append(f"{name}\n{count}{side} x {height} px\n{frame}")
    return contact_sheet(tiles, captions, columns=columns, tile_width=width)


def _telling(pieces: Sequence[Piece], truth: np.ndarray) -> Piece:
    """The piece that shows the centre of a ground-truth box farthest from its own edges."""
    middles = centres(truth)

    def inside(piece: Piece) -> float:
        margins = np.hstack([middles - piece.box[:2], piece.box[2:] - middles])
        return float(margins.min(axis=1).max(initial=-np.inf))

    return max(pieces, key=inside)


def _drawn(piece: Piece, truth: np.ndarray, width: int) -> np.ndarray:
    """A piece that fits into a square of this width, with thin white frames just outside of the truth."""
    scale = width / max(piece.image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture = cv2.resize(piece.image, None, fx=scale, fy=scale, interpolation=way)
    for x1, y1, x2, y2 in np.round(piece.to_piece(truth) * scale).astype(int).tolist():
        cv2.rectangle(picture, (x1 - 3, y1 - 3), (x2 + 2, y2 + 2), (255, 255, 255), 1)
    return picture


def report(
    conclusions: Sequence[str],
    notes: Sequence[str],
    table: pd.DataFrame,
    params: PromptInputsParams,
    *,
    seen: np.ndarray | None,
    compared: Mapping[str, Sequence[tuple[str, np.ndarray]]],
) -> str:
    """Render the report page as HTML.

    Args:
        conclusions: one sentence per detector.
        notes: where the ground truth is from, and what could not run.
        table: from prompt_inputs.results.
        seen: from seen_sheet.
        compared: captions and pictures of the boxes, by detector.
    """
    tables = [_accuracy(table, params), _cost(table, params), _inputs(params)]
    sections = [
        Section("Conclusion", _TEXT, [*conclusions, *notes]),
        Section("Accuracy and cost", _ACCURACY, tables=tables),
    ]
    if seen is not None:
        text = "White: ground truth. Of several pieces, one that shows ground truth."
        sections.append(Section("What the detector sees", text, pictures=[("", seen)]))
    if compared:
        text = "White: ground truth of designators and objects."
        parts = [Section(name, pictures=pictures) for name, pictures in compared.items()]
        sections.append(Section("What it finds", text, parts=parts))
    ran = table[table["frames"] > 0]
    numbers = {
        "detectors": table["detector"].nunique(),
        "inputs": table["input"].nunique(),
        "frames": int(ran["frames"].max()) if len(ran) else 0,
        "with ground truth": int(ran["scored_frames"].max()) if len(ran) else 0,
    }
    return render_report("Prompt inputs", numbers, sections, int(params.pictures_mb * 1e6))


def _accuracy(table: pd.DataFrame, params: PromptInputsParams) -> Table:
    headings = ["detector", "input", "target", "frames", "ground truth", "found", *_MEASURES.values()]
    headings += [f"F1 against {params.baseline}", "better in"]
    rows = [
        [
            breakable(row["detector"]),
            row["input"] + ("" if row["status"] == "ran" else f" ({row['status']})"),
            row["truth"],
            row["scored_frames"],
            row["truths"],
            row["boxes"],
            *(with_interval(row, measure) for measure in _MEASURES),
            "–"
            if pd.isna(row["gain"])
            else f"{row['gain']:+.2f}" + interval(row["gain_low"], row["gain_high"], "+.2f"),
            "–" if pd.isna(row["better"]) else f"{row['better']:.0%}",
        ]
        for row in table.to_dict("records")
    ]
    caption = (
        f"Accuracy at IoU 0.5, with {params.interval:.0%} intervals; `better in`: share of bootstrap draws "
        "in which the input is better than the baseline, ties counted as half"
    )
    return Table(headings, rows, caption)


def _cost(table: pd.DataFrame, params: PromptInputsParams) -> Table:
    paid = bool(table["money_per_1000"].astype(float).gt(0).any())
    headings = ["detector", "input", "s per frame", f"times {params.baseline}", "memory MB"]
    headings += [f"time for {params.budget_frames:,} frames", *(["$ per 1,000", "$ for all"] if paid else [])]
    rows = []
    for row in table[table["frames"] > 0].to_dict("records"):
        prices = [number(row["money_per_1000"]), money(row["budget_money"])] if paid else []
        cells = [number(row["median_s"]), number(row["slower"]), whole(row["memory_mb"])]
        hours = "–" if pd.isna(row["budget_hours"]) else duration(row["budget_hours"])
        rows.append([breakable(row["detector"]), row["input"], *cells, hours, *prices])
    return Table(headings, rows, "Cost of one frame at a time; a tiled frame is one frame")


def _inputs(params: PromptInputsParams) -> Table:
    rows = [[name, _in_words(settings)] for name, settings in params.inputs.items()]
    return Table(["input", "what is done to the frame"], rows, "Inputs, as in params.yaml")


def _in_words(settings: InputSettings | None) -> str:
    if settings is None:
        return "nothing"
    return settings.model_dump_json(exclude_unset=True).replace('"', "").replace(",", ", ").replace(":", ": ")
