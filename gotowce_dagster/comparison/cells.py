"""Numbers as cells of the tables in a report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def breakable(name: str) -> str:
    """Allow a line break after a colon or a slash in a name, because tables are wide."""
    return name.replace(":", ":\u200b").replace("/", "/\u200b")


def share(part: int, whole: int) -> str:
    """A share in percent; a dash for none."""
    return f"{part / whole:.0%}" if part else "–"


def with_interval(row: Mapping[str, Any], measure: str) -> str:
    """A metric of a row of compare.TABLE with its interval; a dash if it is undefined."""
    value = row[measure]
    if pd.isna(value):
        return "–"
    return f"{value:.2f}" + interval(row[f"{measure}_low"], row[f"{measure}_high"])


def interval(low: float, high: float, shape: str = ".2f") -> str:
    """An interval in brackets; empty if it is undefined."""
    between = " to " if "+" in shape else "–\u2060"
    return "" if pd.isna(low) or pd.isna(high) else f" ({low:{shape}}{between}{high:{shape}})"


def number(value: float) -> str:
    """Three significant digits; a dash for NaN."""
    return "–" if pd.isna(value) else f"{value:.3g}"


def whole(value: float) -> str:
    """A whole number with separators; a dash for NaN."""
    return "–" if pd.isna(value) else f"{value:,.0f}"


def duration(hours: float) -> str:
    """Minutes, hours or days."""
    if hours < 1:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def money(dollars: float) -> str:
    """US dollars; NaN is unknown."""
    return "unknown" if pd.isna(dollars) else f"$ {dollars:,.2f}"
