"""Progress callbacks, which every stage takes."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TypeVar

T = TypeVar("T")

LINE_EVERY_S = 8.0
"""Seconds between lines of progress in a log, or where standard error is not a terminal."""

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)``; both count the same unit, and ``total`` may grow."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def tracked(items: Iterable[T], total: int, progress: Progress) -> Iterator[T]:
    """Yield ``items`` and report progress after each one."""
    progress(0, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)


def in_one_bar(progress: Progress, parts: int) -> Callable[[str], Progress]:
    """Combine the progress of several parts into one, in hundredths of a part.

    Returns:
        Called with the name of the next part, it returns the callback of that part.
    """
    places = count()

    def start(name: str) -> Progress:
        place = next(places)
        return lambda done, total: progress(100 * place + 100 * done // max(total, 1), 100 * parts)

    return start


def in_log(log: logging.Logger, what: str) -> Progress:
    """Report a part of a stage, smaller than a step of its progress, as a line every few seconds."""
    last = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            log.info("%s: %d of %d", what, done, total)

    return line
