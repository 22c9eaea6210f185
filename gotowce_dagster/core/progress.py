"""Progress callbacks, which every stage takes."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

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
