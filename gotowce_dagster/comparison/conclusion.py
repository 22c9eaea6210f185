"""The conclusion of a comparison, in sentences with numbers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gotowce_dagster.comparison.cells import number, whole, with_interval

_F1 = "f1_50"


def conclusions(table: pd.DataFrame) -> list[str]:
    """One sentence per kind of contender and ground truth: the best, its cost, and whether the next is worse.

    Args:
        table: of compare.TABLE.
    """
    scored = table[(table["status"] == "ran") & table[_F1].notna()]
    sentences = [
        _of_group(f"{what}s against ground-truth {truth}s".capitalize(), rows)
        for (what, truth), rows in scored.groupby(["what", "truth"], sort=False)
    ]
    return sentences or ["No contender has a score on these frames, so none can be called the best."]


def _of_group(title: str, rows: pd.DataFrame) -> str:
    first, *others = rows.sort_values([_F1, "median_s"], ascending=[False, True]).to_dict("records")
    money = "" if not first["money_per_1000"] > 0 else f", $ {first['money_per_1000']:.2f} for 1,000 frames"
    sentence = (
        f"{title}: {first['name']} has the highest F1 at IoU 0.5, {with_interval(first, _F1)} on "
        f"{first['scored_frames']} frames, at {number(first['median_s'])} s a frame and "
        f"{whole(first['memory_mb'])} MB{money}."
    )
    if not others:
        return sentence
    second = others[0]
    fastest = min([first, *others], key=lambda row: row["median_s"])
    sentence += f" Next is {second['name']} with {with_interval(second, _F1)}{_separation(first, second)}."
    if fastest is not first:
        sentence += f" The fastest is {fastest['name']}, {number(fastest['median_s'])} s a frame."
    return sentence


def _separation(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    low, high = first[f"{_F1}_low"], second[f"{_F1}_high"]
    if pd.isna(low) or pd.isna(high):
        return ""
    return ": these frames do not tell the two apart" if high >= low else ", which is worse on these frames"
