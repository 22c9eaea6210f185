"""Output of the command line: progress bars with rate and estimate, tables, one-sentence errors."""

import json
import logging
import sys
import threading
import time
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

from gotowce_dagster.core.background import in_background
from gotowce_dagster.core.progress import LINE_EVERY_S, Progress

# Text is printed literally, because a file may be named `[b]` or `:skull:`. Styled text is a Text.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, markup=False, emoji=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s")


class _Lines:
    """Progress as lines of text: one every few seconds, and one at the end."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[float, int, int | None]] = {}
        self._lock = threading.Lock()

    def start(self, what: str) -> Progress:
        with self._lock:
            self._tasks[what] = (time.monotonic(), 0, None)

        def update(done: int, total: int) -> None:
            with self._lock:
                started, before, _ = self._tasks[what]
                self._tasks[what] = (started, done, total)
                if done >= total and before < total:
                    self._show(what)

        return update

    def show_unfinished(self) -> None:
        """Print a line for each unfinished task."""
        with self._lock:
            for what, (_, done, total) in self._tasks.items():
                if total is None or done < total:
                    self._show(what)

    def _show(self, what: str) -> None:
        started, done, total = self._tasks[what]
        spent = time.monotonic() - started
        if not total or not done:
            parts = [f"{done}/{total}" if total else "", f"{spent:.0f} s so far"]
        elif done >= total:
            parts = [f"{done}/{total}", f"{done / max(spent, 1e-3):.3g}/s", f"{spent:.0f} s"]
        else:
            rate = done / spent
            parts = [f"{done}/{total}", f"{rate:.3g}/s", f"{(total - done) / rate:.0f} s left"]
        err.print(f"{what}: {', '.join(part for part in parts if part)}", highlight=False)


_PACKAGE = "gotowce_dagster"


class _ToConsole(logging.Handler):
    """Prints this package's log records on standard error, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(record.getMessage(), highlight=False)


def show_log() -> None:
    """Let this package's log records of level INFO and above reach the console, inside progress_bars."""
    logging.getLogger(_PACKAGE).setLevel(logging.INFO)


@contextmanager
def _log_shown() -> Generator[None]:
    """Show this package's log records of level INFO and above."""
    logger, handler = logging.getLogger(_PACKAGE), _ToConsole()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    show_log()
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextmanager
def _progress_lines() -> Generator[Callable[[str], Progress]]:
    lines = _Lines()

    def beat(ended: threading.Event) -> None:
        while not ended.wait(LINE_EVERY_S):
            lines.show_unfinished()

    with in_background(beat, "progress"):
        yield lines.start


@contextmanager
def progress_bars() -> Generator[Callable[[str], Progress]]:
    """Show progress on standard error; yields a function that starts a task and returns its callback.

    In a terminal, a task is a bar; elsewhere, a line at least every ten seconds.
    """
    with _log_shown(), _bars() if err.is_terminal else _progress_lines() as start:
        yield start


@contextmanager
def _bars() -> Generator[Callable[[str], Progress]]:
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
