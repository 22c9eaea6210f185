"""Output of the command line: progress bars with rate and estimate, tables, one-sentence errors."""

import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from gotowce_dagster.core.progress import Progress

# Text is printed literally, because a file may be named `[b]` or `:skull:`. Styled text is a Text.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, markup=False, emoji=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s")


@contextmanager
def progress_bars() -> Generator[Callable[[str], Progress]]:
    """Show progress bars on standard error; yields a function that adds a bar and returns its callback."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=err, speed_estimate_period=60) as bars:

        def start(what: str) -> Progress:
            task = bars.add_task(what, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield start


def bold(what: object) -> Text:
    """Bold text for ``say``."""
    return Text(str(what), style="bold")


def say(*parts: str | Text) -> None:
    """Print one line, of any length, to standard output."""
    out.print(Text.assemble(*parts), soft_wrap=True)


def note(what: str, more: str = "") -> None:
    """Print a note to standard error, with ``what`` highlighted."""
    err.print(Text.assemble((what, "yellow"), more))


def fail(reason: str) -> None:
    """Print the error that ends the command."""
    err.print(Text.assemble(("gotowce:", "red"), f" {reason}"))


def print_any_name() -> None:
    """Print file names that are not UTF-8 escaped, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """Print a table to standard output."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def show_json(content: Mapping[str, Any] | list[Any]) -> None:
    """Print JSON to standard output."""
    out.print_json(json.dumps(content, default=str))


def number(value: float | str) -> str:
    """Format a number for people."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
