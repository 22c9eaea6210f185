"""Table and report page of the study `segment_everything`."""

import numpy as np
import pandas as pd

from gotowce_dagster.core.device import best_device
from gotowce_dagster.pictures.report import Section, Table, render_report
from gotowce_dagster.studies.everything import Cut

PICTURE, CUTS, FITS, REPORT = "pieces.png", "cuts.csv", "objects.csv", "report.html"


def by_method(cuts: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Summarize by method: segments and seconds per frame, and fit of the best segment to ground truth."""
    made = cuts.groupby("method", sort=False)[["pieces", "seconds"]].mean()
    found = (
        fits.assign(is_found=fits["box_iou"] >= 0.5)
        .groupby("method")
        .agg(
            objects=("box_iou", "size"),
            median_best_iou=("box_iou", "median"),
            lowest_best_iou=("box_iou", "min"),
            share_found=("is_found", "mean"),
        )
    )
    return made.add_suffix("_a_frame").join(found)


def caption(video: str, index: int, cut: Cut, fit: pd.DataFrame) -> str:
    """Describe a segmentation: method, segments, seconds, and the IoU of each object's best segment."""
    best = "".join(f" · best IoU {iou:.2f}" for iou in fit["box_iou"])
    return f"{cut.method}\n{len(cut.pieces)} segments, {cut.seconds:.1f} s{best}\n{video} frame {index}"


def report(cuts: pd.DataFrame, fits: pd.DataFrame, sheet: np.ndarray, missing: str) -> str:
    """Render the report page as HTML.

    Args:
        missing: why a method did not run; empty if all did.
    """
    summary = by_method(cuts, fits).reset_index()
    rows = summary.astype(object).where(summary.notna(), None).to_numpy().tolist()
    table = Table([name.replace("_", " ") for name in summary.columns], rows, "By method, all frames")
    text = (
        "Segmentation without prompts, which has no information about the target. The IoU of the best "
        "segment of each object is an upper bound for choosing one of the segments; their number shows how "
        "hard that choice is. White boxes are hand-checked objects, thick outlines the best segments."
    )
    section = Section(
        "Segment everything", text, [missing] if missing else [], tables=[table], pictures=[("", sheet)]
    )
    numbers = {"device": best_device(), "frames": len(cuts.drop_duplicates(["video", "frame_index"]))}
    return render_report("Segment everything", numbers, [section], 4_000_000)
