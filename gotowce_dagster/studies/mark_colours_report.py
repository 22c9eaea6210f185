"""Conclusion, figures and report page of the study `mark_colours`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.config.detector_settings import CHANNELS, Threshold
from gotowce_dagster.designators.thresholds import passing
from gotowce_dagster.pictures.curves import figure_of, painted
from gotowce_dagster.pictures.report import Section, Table, render_report
from gotowce_dagster.studies.mark_colours import ALL, Counts

PERCENTILES, THRESHOLDS, PICTURE, REPORT = "percentiles.csv", "thresholds.csv", "masked.png", "report.html"
_TITLE = "Colours of the marks"
_SHADE = 0.12
"""What fails is shown this dark in the figures, so that the place stays recognisable; a model sees black."""


def conclusions(percentiles: pd.DataFrame, thresholds: pd.DataFrame, moves: pd.DataFrame) -> list[str]:
    """One sentence in numbers per designator."""
    sentences = []
    for move in moves.to_dict("records"):
        is_own = (thresholds["designator"] == move["designator"]) & (thresholds["profile"] == move["profile"])
        best = thresholds[is_own & (thresholds["video"] == ALL)].iloc[0]
        red = percentiles[
            (percentiles["designator"] == move["designator"])
            & (percentiles["profile"] == move["profile"])
            & (percentiles["video"] == ALL)
            & (percentiles["channel"] == "red")
            & (percentiles["of"] == "mark")
        ]
        level = f", the 90th percentile of red is {red['p90'].iloc[0]:.0f}" if "p90" in red else ""
        moved = (
            f"; in single recordings it lies from {move['lowest']:.0f} to {move['highest']:.0f}"
            if move["recordings"] > 1
            else ""
        )
        sentences.append(
            f"{move['designator']} ({move['profile']}): {threshold_of(best)} keeps {best['mark_kept']:.1%} "
            f"of the mark and {best['background_kept']:.2%} of the background{moved}{level}. As a "
            f"detector's input: threshold: {{channel: {best['channel']}, {move['side']}: "
            f"{move['of_all']:.0f}}}"
        )
    return sentences


def threshold_of(row: pd.Series) -> Threshold:
    """The threshold in a row of threshold_table."""
    side = "at_least" if pd.notna(row["at_least"]) else "at_most"
    return Threshold.model_validate({"channel": row["channel"], side: int(row[side])})


def masked(image: np.ndarray, threshold: Threshold) -> np.ndarray:
    """An RGB image with all that does not pass darkened."""
    return np.where(passing(image, threshold)[..., None], image, (image * _SHADE).astype(np.uint8))


def histogram_figure(title: str, counts: Counts, threshold: Threshold) -> np.ndarray:
    """Plot the best channel and red: densities of mark and background; RGB uint8 (H, W, 3)."""
    shown = list(dict.fromkeys((threshold.channel, "red")))
    figure, axes = figure_of(len(shown))
    for axis, channel in zip(axes, shown, strict=True):
        place = CHANNELS.index(channel)
        for name, table in (("mark", counts.mark), ("background", counts.background)):
            values = table[place] / max(table[place].sum(), 1)
            axis.step(np.arange(256), values, where="mid", label=name)
        if channel == threshold.channel:
            level = threshold.at_least if threshold.at_least is not None else threshold.at_most
            axis.axvline(level, color="black", linestyle="--", label=str(threshold))
        axis.set(title=f"{title}: {channel}", xlabel="value", ylabel="share of pixels", yscale="log")
        axis.legend(fontsize=8)
    return painted(figure)


def report(
    percentiles: pd.DataFrame,
    thresholds: pd.DataFrame,
    moves: pd.DataFrame,
    sheet: np.ndarray,
    figures: Sequence[tuple[str, np.ndarray]],
) -> str:
    """Render the report page as HTML."""
    text = (
        "Which values do the pixels of the marks have, and does one number separate them from the rest of "
        "the frame? Mark: pixels inside detections that have a colour of the designator (all pixels of the "
        "detection where the profile describes no mark). Background: all pixels outside detections. The best "
        "threshold has the largest difference between the share of the mark and of the background that "
        "passes."
    )
    if thresholds.empty:
        note = [
            "No detection in any video: there is no mark to measure. Run the stage designator_detections."
        ]
        return render_report(_TITLE, {}, [Section(_TITLE, text, note)], 100_000)
    of_all = thresholds[thresholds["video"] == ALL].drop(columns="video")
    shown = percentiles[percentiles["video"] == ALL].drop(columns="video")
    of_each = (
        thresholds[thresholds["video"] != ALL].groupby(["profile", "designator", "video"], sort=False).head(1)
    )
    sections = [
        Section(
            "Conclusion", text, conclusions(percentiles, thresholds, moves), tables=[Table.of(moves, "")]
        ),
        Section(
            "Thresholds",
            tables=[
                Table.of(of_all, "Each channel's best threshold, all recordings"),
                Table.of(of_each, "The best threshold of each recording"),
            ],
            pictures=figures,
        ),
        Section(
            "The frames after masking",
            "Left the frame, right what passes; the rest is darkened here, and black for a detector.",
            pictures=[("", sheet)],
        ),
        Section("Percentiles", tables=[Table.of(shown, "Values of each channel, 0 to 255; hue 0 to 179")]),
    ]
    numbers = {
        "designators": len(moves),
        "mark pixels": int(_pixels(percentiles, "mark")),
        "background pixels": int(_pixels(percentiles, "background")),
    }
    return render_report(_TITLE, numbers, sections, 4_000_000)


def _pixels(percentiles: pd.DataFrame, kind: str) -> float:
    of_all = percentiles[(percentiles["video"] == ALL) & (percentiles["of"] == kind)]
    return of_all.loc[of_all["channel"] == CHANNELS[0], "pixels"].sum()
