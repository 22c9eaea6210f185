"""Tables, conclusion and report page of the study `segment_everything`."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from gotowce_dagster.config.study_params import SegmentEverythingParams
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.intervals import wilson
from gotowce_dagster.pictures.curves import COLOURS, figure_of, painted
from gotowce_dagster.pictures.report import Section, Table, render_report
from gotowce_dagster.studies.everything import Cut

PICTURE, CUTS, FITS, SIZES, REPORT = "pieces.png", "cuts.csv", "objects.csv", "sizes.csv", "report.html"
ALL = "all"
_TEXT = (
    "Segmentation without prompts, which has no information about the target. The IoU of the best segment of "
    "each object is an upper bound for choosing one of the segments; their number shows how hard that choice "
    "is. A target is found if the box of a segment has an IoU of at least {:g} with its box. Targets of one "
    "recording are alike, so the intervals are too narrow for other footage."
)


def by_method(cuts: pd.DataFrame, fits: pd.DataFrame, params: SegmentEverythingParams) -> pd.DataFrame:
    """Summarize by method: segments, seconds and memory per frame, and fit of the best segments."""
    made = cuts.groupby("method", sort=False).agg(
        segments_a_frame=("pieces", "mean"), seconds_a_frame=("seconds", "mean"), peak_mb=("memory_mb", "max")
    )
    found = (
        fits.assign(is_found=fits["box_iou"] >= params.found_iou)
        .groupby("method")
        .agg(
            objects=("box_iou", "size"),
            found=("is_found", "sum"),
            share_found=("is_found", "mean"),
            median_best_iou=("box_iou", "median"),
            lowest_best_iou=("box_iou", "min"),
        )
    )
    return made.join(found)


def by_size(fits: pd.DataFrame, params: SegmentEverythingParams) -> pd.DataFrame:
    """The share of targets found, by size and method, with Wilson's interval.

    Args:
        fits: columns ``method``, and those of everything.best_fit.

    Returns:
        A row per method and size that has targets. Columns ``size`` (a range of pixels, or ALL), ``method``,
        ``targets``, ``found``, ``share``, ``low``, ``high``, ``median_best_iou``.
    """
    ends = [*sorted(params.size_bins), np.inf]
    ranges = [(_range(low, high), fits["size"].between(low, high, "left")) for low, high in pairwise(ends)]
    rows = []
    for size, is_inside in [*ranges, (ALL, pd.Series(True, fits.index))]:
        for method, mine in fits[is_inside].groupby("method", sort=False):
            found, count = int((mine["box_iou"] >= params.found_iou).sum()), len(mine)
            interval = wilson(found, count, params.interval)
            rows.append(
                (size, method, count, found, found / count, *interval, float(mine["box_iou"].median()))
            )
    columns = ["size", "method", "targets", "found", "share", "low", "high", "median_best_iou"]
    return pd.DataFrame(rows, columns=columns)


def _range(low: float, high: float) -> str:
    return f"{low:g} to {high:g} px" if np.isfinite(high) else f"{low:g} px and more"


def conclusions(sizes: pd.DataFrame, methods: pd.DataFrame) -> list[str]:
    """One sentence in numbers per size of target, and one on the cost."""
    if sizes.empty:
        return ["No frame has ground-truth objects, so only the numbers of segments can be compared."]
    sentences = []
    for size, rows in sizes.groupby("size", sort=False):
        what = "All sizes" if size == ALL else f"Targets of {size}"
        shares = [
            f"{row['method']} finds {row['found']} of {row['targets']} ({row['share']:.0%}, "
            f"{row['low']:.0%} to {row['high']:.0%})"
            for _, row in rows.sort_values("found", ascending=False, kind="stable").iterrows()
        ]
        sentences.append(f"{what}: {'; '.join(shares)}.")
    costs = [
        f"{method}: {row['seconds_a_frame']:.1f} s, {row['peak_mb']:.0f} MB, "
        f"{row['segments_a_frame']:.0f} segments"
        for method, row in methods.iterrows()
    ]
    return [*sentences, f"A frame takes: {'; '.join(costs)}."]


def sizes_figure(sizes: pd.DataFrame) -> np.ndarray:
    """Plot the share found over the size of targets, with intervals; RGB uint8 (H, W, 3)."""
    shown = sizes[sizes["size"] != ALL]
    labels, methods = list(shown["size"].unique()), list(shown["method"].unique())
    figure, (axis,) = figure_of(1, width=9.0)
    width = 0.8 / max(len(methods), 1)
    for number, method in enumerate(methods):
        mine = shown[shown["method"] == method]
        places = np.array([labels.index(size) for size in mine["size"]]) + (number + 0.5) * width - 0.4
        ends = np.array([mine["share"] - mine["low"], mine["high"] - mine["share"]]).clip(min=0)
        axis.bar(places, mine["share"], width * 0.9, label=method, color=COLOURS[number % len(COLOURS)])
        axis.errorbar(places, mine["share"], ends, fmt="none", ecolor="black", capsize=3, linewidth=1)
        for place, (_, row) in zip(places, mine.iterrows(), strict=True):
            axis.text(place, 1.04, f"{row['found']}/{row['targets']}", ha="center", fontsize=7)
    axis.set_xticks(range(len(labels)), labels)
    axis.set(xlabel="size of the target (square root of its box's area)", ylabel="share found", ylim=(0, 1.1))
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    return painted(figure)


def caption(video: str, index: int, cut: Cut, fit: pd.DataFrame) -> str:
    """Describe a segmentation: method, segments, seconds, and the best IoU of the smallest object."""
    smallest = fit.sort_values("size").head(1)[["size", "box_iou"]].to_numpy(float)
    best = "".join(f" · {size:.0f} px: IoU {iou:.2f}" for size, iou in smallest)
    return f"{cut.method}\n{len(cut.pieces)} segments, {cut.seconds:.1f} s{best}\n{video} frame {index}"


def report(
    cuts: pd.DataFrame,
    fits: pd.DataFrame,
    params: SegmentEverythingParams,
    pictures: Sequence[tuple[str, np.ndarray]],
    *,
    engine: str,
    missing: str,
) -> str:
    """Render the report page as HTML.

    Args:
        pictures: captions and contact sheets, RGB uint8.
        engine: the model of the methods on the whole frame and in tiles; empty if there is none.
        missing: why a method did not run; empty if all did.
    """
    methods, sizes = by_method(cuts, fits, params), by_size(fits, params)
    notes = [*conclusions(sizes, methods), *([missing] if missing else [])]
    sections = [Section("Conclusion", _TEXT.format(params.found_iou), notes)]
    if len(sizes):
        level = f"Share of targets found by size, with {params.interval:.0%} intervals (Wilson)"
        figure = ("", sizes_figure(sizes))
        sections.append(Section("Share found over size", tables=[_table(sizes, level)], pictures=[figure]))
    by = _table(methods.reset_index(), "All frames; the peak is of the whole process, with its models")
    sections.append(Section("Cost and fit by method", tables=[by]))
    sections.append(
        Section("Frames", "White boxes: ground truth. Thick outlines: the best segments.", pictures=pictures)
    )
    numbers = {
        "engine": engine or None,
        "device": best_device(),
        "frames": len(cuts.drop_duplicates(["video", "frame_index"])),
    }
    return render_report("Segment everything", numbers, sections, 4_000_000)


def _table(table: pd.DataFrame, caption: str) -> Table:
    rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return Table([name.replace("_", " ") for name in table.columns], rows, caption)
