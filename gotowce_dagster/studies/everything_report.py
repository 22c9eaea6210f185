"""The study that segments everything, as a table by method and a page."""

import numpy as np
import pandas as pd

from gotowce_dagster.core.device import best_device
from gotowce_dagster.pictures.report import Section, Table, render_report
from gotowce_dagster.studies.everything import Cut

PICTURE, CUTS, FITS, REPORT = "pieces.png", "cuts.csv", "objects.csv", "report.html"


def by_method(cuts: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """By method: pieces and seconds a frame, and the fit of the best piece with the known objects."""
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
    """Below a picture in pieces: method, pieces, seconds, and the IoU of the best piece of each object."""
    best = "".join(f" · best IoU {iou:.2f}" for iou in fit["box_iou"])
    return f"{cut.method}\n{len(cut.pieces)} pieces, {cut.seconds:.1f} s{best}\n{video} frame {index}"


def report(cuts: pd.DataFrame, fits: pd.DataFrame, sheet: np.ndarray, missing: str) -> str:
    """The whole page as HTML.

    Args:
        missing: why a method was not run; empty if all were.
    """
    summary = by_method(cuts, fits).reset_index()
    rows = summary.astype(object).where(summary.notna(), None).to_numpy().tolist()
    table = Table([name.replace("_", " ") for name in summary.columns], rows, "By method, all frames")
    text = (
        "Without a prompt a picture falls into pieces that know nothing of what is wanted: the best piece "
        "for each object says how much of the work is done once a piece is chosen, the number of pieces how "
        "hard the choice is. White boxes are hand-checked objects, thick outlines the best pieces."
    )
    section = Section(
        "Segment everything", text, [missing] if missing else [], tables=[table], pictures=[("", sheet)]
    )
    told = {"device": best_device(), "frames": len(cuts.drop_duplicates(["video", "frame_index"]))}
    return render_report("Segment everything", told, [section], 4_000_000)
