"""Output of a comparison: tables and an HTML report."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.comparison.cells import (
    breakable,
    duration,
    interval,
    money,
    number,
    share,
    whole,
    with_interval,
)
from gotowce_dagster.comparison.compare import BOXES, TABLE, Comparison
from gotowce_dagster.comparison.conclusion import conclusions
from gotowce_dagster.comparison.pictures import scatter, side_by_side, worst_sheet
from gotowce_dagster.config.params import ComparisonParams
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.tables import write_table
from gotowce_dagster.evaluation.scoring import worst
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.report import Section, Table, Value, render_report
from gotowce_dagster.pictures.write import write_picture

PAGE, PARQUET, CSV, SCATTER = "report.html", "table.parquet", "table.csv", "scatter.png"


def write_study(comparison: Comparison, params: ComparisonParams, folder: Path) -> None:
    """Write the table, all boxes, differences, agreement and the report to a folder, replacing it."""
    with fresh_dir(folder) as new:
        write_table(comparison.table, TABLE, new / PARQUET)
        comparison.table.to_csv(new / CSV, index=False)
        write_table(comparison.boxes, BOXES, new / "boxes.parquet")
        comparison.pairs.to_csv(new / "differences.csv", index=False)
        comparison.agreement.to_csv(new / "agreement.csv")
        drawn = scatter(comparison.table)
        if drawn is not None:
            write_picture(drawn, new / SCATTER)
        (new / PAGE).write_text(_page(comparison, params, drawn), encoding="utf-8")


def _page(comparison: Comparison, params: ComparisonParams, drawn: np.ndarray | None) -> str:
    images = {picture.frame: read_rgb(picture.file) for picture in comparison.sample.pictures}
    table = comparison.table
    sections = [
        Section("Conclusion", notes=conclusions(table)),
        _overview(comparison, params, drawn),
        _cost(table),
        _budget(table, params) if table["budget_hours"].notna().any() else None,
        _differences(comparison) if len(comparison.pairs) else None,
        _agreement(comparison)
        if len(comparison.agreement) > 1 and not table["scored_frames"].any()
        else None,
        _frames(comparison, params, images),
        _worst(comparison, params, images),
        _made_with(table),
    ]
    summary = {
        "frames": len(images),
        "with ground truth": len(comparison.sample.truth),
        "ran": f"{(table['status'] == 'ran').sum()} of {len(table)}",
        "devices": ", ".join(sorted(set(table["device"]) - {""})) or "–",
        "processor cores": os.cpu_count(),
    }
    limit = int(params.pictures_mb * 1e6)
    return render_report("Detectors compared", summary, [s for s in sections if s is not None], limit)


def _overview(comparison: Comparison, params: ComparisonParams, drawn: np.ndarray | None) -> Section:
    table = comparison.table
    notes = [
        *(
            f"{row['name']}: {row['status']}: {row['reason']}"
            for row in table[table["reason"] != ""].to_dict("records")
        ),
        *comparison.sample.notes,
    ]
    if not table["scored_frames"].any():
        notes.insert(
            0, "No frame has ground truth, so accuracy is unknown: see the agreement between detectors."
        )
    # Only shown if there are any, because the table is wide.
    unanswered = ["no response"] if table["unanswered_frames"].any() else []
    headings = ["", "target", "frames", *unanswered, "ground truth", "found", *_MEASURES.values(), "best F1"]
    rows = [
        [
            breakable(row["name"]) + ("" if row["status"] == "ran" else f" ({row['status']})"),
            row["truth"],
            row["scored_frames"],
            *(share(row["unanswered_frames"], row["frames"]) for _ in unanswered),
            row["truths"],
            row["boxes"],
            *(with_interval(row, measure) for measure in _MEASURES),
            "–" if pd.isna(row["best_f1_50"]) else f"{row['best_f1_50']:.2f} at {row['best_confidence']:.2f}",
        ]
        for row in (table.to_dict("records") if table["scored_frames"].any() else ())
    ]
    text = (
        "Every detector ran on the same frames, in its own process. In brackets: "
        f"{params.interval:.0%} intervals by bootstrap ({params.bootstrap} draws over the frames). With few "
        "frames they are wide; without any error they are empty, which does not mean certainty. Each "
        "detector is measured at the confidence threshold of its own settings; best F1 is the best that "
        "another threshold would have given on these frames. Frames without a usable response are not "
        "scored: check their share first."
    )
    pictures = (
        [("F1 at IoU 0.5 against cost; farther left and higher is better", drawn)]
        if drawn is not None
        else []
    )
    tables = (
        [Table(headings, rows, "Accuracy against ground truth, at IoU 0.5 unless stated otherwise")]
        if rows
        else []
    )
    return Section("Accuracy", text if rows else "", notes, tables=tables, pictures=pictures)


_MEASURES = {
    "precision_50": "precision",
    "recall_50": "recall",
    "f1_50": "F1",
    "f1_75": "F1 at 0.75",
    "mean_iou": "mean IoU",
    "ap_50": "AP",
}


def _cost(table: pd.DataFrame) -> Section:
    headings = [
        "", "s per frame", "95th percentile", "frames/s", "batch size", "s to load", "s for the first",
        "memory MB", "GPU MB", "weights MB", "$ per 1,000", "tokens per frame", "unparseable", "retries",
        "failed frames",
    ]  # fmt: skip
    rows = []
    for row in table[table["frames"] > 0].to_dict("records"):
        rows.append(
            [
                breakable(row["name"]),
                *(number(row[name]) for name in ("median_s", "p95_s", "images_per_s", "best_batch")),
                *(number(row[name]) for name in ("load_s", "warm_up_s")),
                *(whole(row[name]) for name in ("memory_mb", "gpu_memory_mb", "weights_mb")),
                number(row["money_per_1000"]),
                whole((row["tokens_in"] + row["tokens_out"]) / row["frames"]),
                "–" if pd.isna(row["invalid_share"]) else f"{row['invalid_share']:.0%}",
                whole(row["retries"]),
                whole(row["failed_frames"]),
            ]
        )
    text = (
        "Seconds are for one frame at a time, without loading, reading the frame and the first call; "
        "frames/s are at the fastest batch size. Memory is the peak of the process, including Python and its "
        "libraries."
    )
    return Section("Cost", text if rows else "nothing ran", tables=[Table(headings, rows)] if rows else [])


def _budget(table: pd.DataFrame, params: ComparisonParams) -> Section:
    rows = [
        [breakable(row["name"]), duration(row["budget_hours"]), money(row["budget_money"])]
        for row in table[table["budget_hours"].notna()].sort_values("budget_hours").to_dict("records")
    ]
    text = (
        f"Time and money for {params.budget_frames:,} frames on this machine, including loading, at the "
        f"fastest batch size. An hour of video at 2 frames per second is 7,200 frames."
    )
    return Section("Budget", text, tables=[Table(["", "time", "money"], rows)])


def _differences(comparison: Comparison) -> Section:
    rows = [
        [
            breakable(row["first"]),
            breakable(row["second"]),
            row["truth"],
            row["frames"],
            f"{row['difference']:+.2f}" + interval(row["low"], row["high"], "+.2f"),
            f"{row['first_better']:.0%}",
        ]
        for row in comparison.pairs.to_dict("records")
    ]
    headings = [
        "first",
        "second",
        "target",
        "frames",
        "F1 of the first minus the second",
        "first is better in",
    ]
    text = "Paired bootstrap on the same frames: an interval without 0 shows a difference."
    return Section("Differences", text, tables=[Table(headings, rows)])


def _agreement(comparison: Comparison) -> Section:
    matrix = comparison.agreement
    rows = [
        [name, *(number(value) for value in values)]
        for name, values in zip(matrix.index, matrix.to_numpy(), strict=True)
    ]
    text = (
        "F1 at IoU 0.5 between each pair of detectors: 1 if they find the same, 0 if they have nothing in "
        "common. A detector that agrees with no other is wrong, or the only correct one."
    )
    return Section("Agreement", text, tables=[Table(["", *matrix.columns], rows)])


def _frames(
    comparison: Comparison, params: ComparisonParams, images: dict[tuple[str, int], np.ndarray]
) -> Section | None:
    found = {name: run.found for name, run in comparison.runs.items() if run.frames}
    if not found or not params.frames_shown:
        return None
    frames = sorted(images)
    positions = evenly(len(frames), params.frames_shown)
    shown = {frames[position]: images[frames[position]] for position in positions}
    sample = comparison.sample
    truth = {
        frame: np.concatenate([sample.boxes(frame, label) for label in ("designator", "object")])
        for frame in shown
    }
    pictures = side_by_side(shown, found, truth)
    return Section("The same frames", "White: ground truth of designators and objects.", pictures=pictures)


def _worst(
    comparison: Comparison, params: ComparisonParams, images: dict[tuple[str, int], np.ndarray]
) -> Section | None:
    parts = []
    for name in comparison.runs:
        cases = worst(comparison.cases(name))
        shown = cases[: params.worst_shown]
        if shown:
            title = f"{name}: errors in {len(cases)} of {len(comparison.cases(name))} frames"
            parts.append(Section(title, pictures=[("", worst_sheet(shown, images))]))
    if not parts:
        return None
    text = "The frames with most errors, false negatives or false positives. White: ground truth."
    return Section("Worst frames", text, parts=parts)


def _made_with(table: pd.DataFrame) -> Section:
    rows: list[Sequence[Value]] = [
        [
            breakable(row["name"]),
            row["what"],
            row["status"],
            row["weights"] or "none",
            row["device"] or "–",
            row["reason"],
        ]
        for row in table.to_dict("records")
    ]
    return Section("What ran", tables=[Table(["", "", "status", "weights", "device", "reason"], rows)])
