"""A comparison as files: tables for machines, a page for people."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.comparison.compare import BOXES, TABLE, Comparison
from gotowce_dagster.comparison.pictures import scatter, side_by_side, worst_sheet
from gotowce_dagster.config.params import ComparisonParams
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.tables import write_table
from gotowce_dagster.evaluation.scoring import worst
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.report import Section, Table, Value, render_report
from gotowce_dagster.pictures.write import write_picture

PAGE, PARQUET, CSV, SCATTER = "report.html", "table.parquet", "table.csv", "scatter.png"


def write_study(comparison: Comparison, params: ComparisonParams, folder: Path) -> None:
    """Write the table, all boxes, differences, agreement and the report into a folder, made anew."""
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
    told = {
        "frames": len(images),
        "with truth": len(comparison.sample.truth),
        "ran": f"{(table['status'] == 'ran').sum()} of {len(table)}",
        "devices": ", ".join(sorted(set(table["device"]) - {""})) or "–",
        "processor cores": os.cpu_count(),
    }
    limit = int(params.pictures_mb * 1e6)
    return render_report("Detectors compared", told, [s for s in sections if s is not None], limit)


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
            0, "No frame has hand-checked boxes, so nobody knows who is right: see who agrees with whom."
        )
    # Shown where there is any, for the table is wide.
    silence = ["no answer"] if table["unanswered_frames"].any() else []
    headings = ["", "finds", "frames", *silence, "there", "found", *_MEASURES.values(), "best F1"]
    rows = [
        [
            _breakable(row["name"]) + ("" if row["status"] == "ran" else f" ({row['status']})"),
            row["truth"],
            row["scored_frames"],
            *(_share(row["unanswered_frames"], row["frames"]) for _ in silence),
            row["truths"],
            row["boxes"],
            *(_with_interval(row, measure) for measure in _MEASURES),
            "–" if pd.isna(row["best_f1_50"]) else f"{row['best_f1_50']:.2f} at {row['best_confidence']:.2f}",
        ]
        for row in (table.to_dict("records") if table["scored_frames"].any() else ())
    ]
    text = (
        "Every detector saw the same frames, in a process of its own. In brackets "
        f"{params.interval:.0%} intervals by {params.bootstrap} draws over the frames: with few frames they "
        "are wide, and where nothing went wrong they are empty, which is not certainty. Each detector is "
        "measured with the boxes that its own settings let through; best F1 is what another threshold of "
        "its confidence would have given on these very frames. Frames that it gave no usable answer about "
        "are not scored: look at their share before the rest."
    )
    pictures = (
        [("F1 at IoU 0.5 against cost; farther left and higher is better", drawn)]
        if drawn is not None
        else []
    )
    tables = (
        [Table(headings, rows, "How well each finds what is there, at IoU 0.5 unless it says 0.75")]
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
        "", "s a frame", "95 % below", "frames a second", "at once", "s to load", "s for the first",
        "memory MB", "GPU MB", "weights MB", "$ for 1,000", "tokens a frame", "invalid answers", "retries",
        "failed frames",
    ]  # fmt: skip
    rows = []
    for row in table[table["frames"] > 0].to_dict("records"):
        rows.append(
            [
                _breakable(row["name"]),
                *(_number(row[name]) for name in ("median_s", "p95_s", "images_per_s", "best_batch")),
                *(_number(row[name]) for name in ("load_s", "warm_up_s")),
                *(_whole(row[name]) for name in ("memory_mb", "gpu_memory_mb", "weights_mb")),
                _number(row["money_per_1000"]),
                _whole((row["tokens_in"] + row["tokens_out"]) / row["frames"]),
                "–" if pd.isna(row["invalid_share"]) else f"{row['invalid_share']:.0%}",
                _whole(row["retries"]),
                _whole(row["failed_frames"]),
            ]
        )
    text = (
        "Seconds are of one frame at a time, without loading, reading the frame and the first call; frames a "
        "second are with as many at once as was fastest. Memory is the most its process took, Python and its "
        "libraries included."
    )
    return Section("Cost", text if rows else "nothing ran", tables=[Table(headings, rows)] if rows else [])


def _budget(table: pd.DataFrame, params: ComparisonParams) -> Section:
    rows = [
        [_breakable(row["name"]), _duration(row["budget_hours"]), _money(row["budget_money"])]
        for row in table[table["budget_hours"].notna()].sort_values("budget_hours").to_dict("records")
    ]
    text = (
        f"What {params.budget_frames:,} frames would take on this machine, loading included, with as many "
        f"frames at once as is fastest. An hour of video at 2 frames a second is 7,200 frames."
    )
    return Section("Budget", text, tables=[Table(["", "time", "money"], rows)])


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _money(dollars: float) -> str:
    return "not known" if pd.isna(dollars) else f"$ {dollars:,.2f}"


def _differences(comparison: Comparison) -> Section:
    rows = [
        [
            _breakable(row["first"]),
            _breakable(row["second"]),
            row["truth"],
            row["frames"],
            f"{row['difference']:+.2f}" + _interval(row["low"], row["high"], "+.2f"),
            f"{row['first_better']:.0%}",
        ]
        for row in comparison.pairs.to_dict("records")
    ]
    headings = [
        "first",
        "second",
        "finding",
        "frames",
        "F1 of the first minus the second",
        "first is better in",
    ]
    text = "Both on the same draws of the same frames: an interval that leaves out 0 is a difference."
    return Section("Differences", text, tables=[Table(headings, rows)])


def _agreement(comparison: Comparison) -> Section:
    matrix = comparison.agreement
    rows = [
        [name, *(_number(value) for value in values)]
        for name, values in zip(matrix.index, matrix.to_numpy(), strict=True)
    ]
    text = (
        "F1 at IoU 0.5 of each detector held against each other: 1 where they find the same, 0 where nothing "
        "is common. Who agrees with nobody is wrong, or alone right."
    )
    return Section("Agreement", text, tables=[Table(["", *matrix.columns], rows)])


def _frames(
    comparison: Comparison, params: ComparisonParams, images: dict[tuple[str, int], np.ndarray]
) -> Section | None:
    found = {name: run.found for name, run in comparison.runs.items() if run.frames}
    if not found or not params.frames_shown:
        return None
    frames = sorted(images)
    places = np.unique(
        np.linspace(0, len(frames) - 1, min(params.frames_shown, len(frames))).round().astype(int)
    )
    shown = {frames[place]: images[frames[place]] for place in places}
    sample = comparison.sample
    truth = {
        frame: np.concatenate([sample.boxes(frame, label) for label in ("designator", "object")])
        for frame in shown
    }
    pictures = side_by_side(shown, found, truth)
    return Section("The same frames", "White: hand-checked designators and objects.", pictures=pictures)


def _worst(
    comparison: Comparison, params: ComparisonParams, images: dict[tuple[str, int], np.ndarray]
) -> Section | None:
    parts = []
    for name in comparison.runs:
        cases = worst(comparison.cases(name))
        shown = cases[: params.worst_shown]
        if shown:
            title = f"{name}: something is wrong in {len(cases)} of {len(comparison.cases(name))} frames"
            parts.append(Section(title, pictures=[("", worst_sheet(shown, images))]))
    if not parts:
        return None
    text = "The frames with most wrong boxes, missing or found where nothing is. White: what is there."
    return Section("Worst frames", text, parts=parts)


def _made_with(table: pd.DataFrame) -> Section:
    rows: list[Sequence[Value]] = [
        [
            _breakable(row["name"]),
            row["what"],
            row["status"],
            row["weights"] or "none",
            row["device"] or "–",
            row["reason"],
        ]
        for row in table.to_dict("records")
    ]
    return Section("What ran", tables=[Table(["", "", "status", "weights", "device", "why not"], rows)])


def _breakable(name: str) -> str:
    """A name that may go on in the next line after a colon or a slash, for tables are wide."""
    return name.replace(":", ":\u200b").replace("/", "/\u200b")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if part else "–"


def _with_interval(row: dict, measure: str) -> str:
    value = row[measure]
    if pd.isna(value):
        return "–"
    return f"{value:.2f}" + _interval(row[f"{measure}_low"], row[f"{measure}_high"])


def _interval(low: float, high: float, shape: str = ".2f") -> str:
    return "" if pd.isna(low) or pd.isna(high) else f" ({low:{shape}}–\u2060{high:{shape}})"


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3g}"


def _whole(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:,.0f}"
