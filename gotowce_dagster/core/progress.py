"""How long work tells how far it has come: a plain callback that every stage takes."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)``; both count the same unit and ``total`` may grow."""


def silent(done: int, total: int) -> None:
    """Show nothing."""


def tracked(items: Iterable[T], total: int, progress: Progress) -> Iterator[T]:
    """Yield ``items``, reporting after each one is finished."""
    progress(0, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)
