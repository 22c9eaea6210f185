"""Figures and report page of the study `crop_sensitivity`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.curves import figure_of, painted
from gotowce_dagster.pictures.report import Section, Table, render_report
from gotowce_dagster.studies.crop_samples import Sample
from gotowce_dagster.studies.crop_sensitivity import ANY

DESCRIPTIONS, SHARES, NEIGHBOURS = "descriptions.csv", "shares.csv", "neighbours.csv"
PICTURE, REPORT = "shares.png", "report.html"
_MOST_NEIGHBOURS = 20
_SHOWN = 12
_TEXT = (
    "How well does a describing model notice the mark as the crop around it grows? The corners of each "
    "crop lie at random places outside the mark's box, at most the given offset away. A description counts "
    "if it has one of the searched words in any inflection. Crops of one frame are alike, so the intervals "
    "are too narrow for other footage."
)


def shares_figure(shares: pd.DataFrame, describer: str, least: float) -> np.ndarray:
    """Plot shares over the maximum offset, and a histogram of descriptions with any word; RGB uint8."""
    mine = shares[shares["describer"] == describer]
    figure, (curve, histogram) = figure_of(2)
    for word in mine["word"].unique():
        row = mine[mine["word"] == word]
        if word == ANY:
            curve.fill_between(row["max_offset"], row["low"], row["high"], alpha=0.2, color="black")
            style = {"color": "black", "linewidth": 2, "marker": "."}
        else:
            style = {"linewidth": 1}
        curve.plot(row["max_offset"], row["share"], label=word, **style)
    curve.axhline(least, color="grey", linestyle="--")
    curve.set(xscale="log", ylim=(-0.02, 1.02), xlabel="maximum offset, px", ylabel="share of descriptions")
    offsets = sorted(mine["max_offset"].unique())
    curve.set_xticks(offsets, offsets, rotation=60)
    curve.set_xticks([], minor=True)
    curve.set_title(describer)
    curve.legend(fontsize=7)
    of_any = mine[mine["word"] == ANY]
    places = np.arange(len(of_any))
    histogram.bar(places, of_any["descriptions"], color="#cccccc", label="all descriptions")
    histogram.bar(places, of_any["with_word"], color="#d55e00", label="with a searched word")
    histogram.set_xticks(places, of_any["max_offset"], rotation=60)
    # Room above the bars for the legend.
    top = 1.25 * max(of_any["descriptions"].max(), 1) if len(of_any) else 1
    histogram.set(xlabel="maximum offset, px", ylabel="descriptions", ylim=(0, top))
    histogram.yaxis.get_major_locator().set_params(integer=True)
    histogram.legend(fontsize=8)
    return painted(figure)


def report(
    answers: Mapping[str, str],
    not_run: Sequence[str],
    *,
    shares: pd.DataFrame,
    neighbours: pd.DataFrame,
    figures: Mapping[str, np.ndarray],
    sheets: Mapping[str, np.ndarray],
) -> str:
    """Render the report page as HTML.

    Args:
        answers: the sentence of each describer that ran.
        not_run: why others did not.
        figures, sheets: by describer: from shares_figure, and crops with their descriptions.
    """
    sections = [Section("Conclusion", _TEXT, [*answers.values(), *not_run])]
    for describer in answers:
        mine = shares[shares["describer"] == describer].drop(columns="describer")
        beside = (
            neighbours[neighbours["describer"] == describer].drop(columns="describer").head(_MOST_NEIGHBOURS)
        )
        tables = [
            Table.of(mine[mine["word"] == ANY].drop(columns="word"), "Descriptions with any of the words"),
            Table.of(
                beside, "Content words beside the searched ones, most frequent first; offsets and sizes in px"
            ),
        ]
        pictures = [("", figures[describer]), ("Crops with their descriptions", sheets[describer])]
        each = Section("Each word", tables=[Table.of(mine[mine["word"] != ANY])])
        sections.append(Section(describer, tables=tables, pictures=pictures, parts=[each]))
    numbers = {"describers": len(answers), "did not run": len(not_run)}
    return render_report("Crop sensitivity", numbers, sections, 4_000_000)


def sheet(samples: Sequence[Sample], descriptions: pd.DataFrame) -> np.ndarray:
    """Some crops from the tightest to the widest, with their descriptions; RGB uint8."""
    order = np.argsort([sample.max_offset for sample in samples], kind="stable")
    chosen = order[evenly(len(order), _SHOWN)]
    texts = descriptions["description"].tolist()
    captions = [
        f"{samples[n].max_offset} px\n{_wrapped(texts[n] or 'no usable description')}" for n in chosen
    ]
    return contact_sheet([samples[n].image for n in chosen], captions, columns=4)


def _wrapped(text: str, width: int = 44) -> str:
    return f"{text[:width]}\n{text[width : 2 * width]}"
