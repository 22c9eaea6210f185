"""A report as one self-contained HTML page: no network, no other files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gotowce_dagster.pictures.embed import data_uri

Value = float | int | str | None


@dataclass(frozen=True)
class Table:
    """A table with headings. Numbers are shown to three digits, None as a dash."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Value]]
    caption: str = ""

    @classmethod
    def of(cls, table: pd.DataFrame, caption: str = "") -> "Table":
        """The rows of a DataFrame, with its columns as headings; NaN is shown as a dash."""
        rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
        return cls([name.replace("_", " ") for name in table.columns], rows, caption)


@dataclass(frozen=True, eq=False)
class Section:
    """A section of the report, with subsections."""

    title: str
    text: str = ""
    notes: Sequence[str] = ()
    """Warnings and remarks, in sentences."""
    numbers: Mapping[str, Value] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[str, np.ndarray]] = ()
    """Captions and RGB uint8 (H, W, 3)."""
    parts: Sequence["Section"] = ()


def render_report(title: str, summary: Mapping[str, Value], sections: Sequence[Section], limit: int) -> str:
    """Render the report as an HTML page.

    Args:
        summary: the few numbers at the top.
        limit: approximate bytes of all pictures together; each gets an equal share.
    """
    count = sum(_pictures(section) for section in sections)
    share = max(20_000, limit // max(count, 1))
    environment = Environment(
        loader=PackageLoader("gotowce_dagster", "pictures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = _shown
    environment.filters["with_code"] = _with_code
    environment.filters["embedded"] = lambda picture: data_uri(picture, share)
    template = environment.get_template("report.html.jinja")
    return template.render(title=title, summary=summary, sections=sections)


def _pictures(section: Section) -> int:
    return len(section.pictures) + sum(_pictures(part) for part in section.parts)


def _with_code(text: str) -> Markup:
    """Escaped text, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _shown(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) > 1 else f"{value:.3f}"
    return str(value)
