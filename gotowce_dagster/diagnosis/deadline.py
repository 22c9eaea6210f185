"""Questions to servers that are all answered, or given up, at one time."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Questions(Generic[T]):
    """Functions that run side by side from now on; see answers.

    Their threads end with the process: without a network, the lookup of a name blocks for longer than the
    timeout of a request and cannot be stopped.
    """

    def __init__(self, questions: Mapping[str, Callable[[], T]]) -> None:
        self._answers: dict[str, T] = {}
        self._threads = [
            threading.Thread(target=self._ask, args=(name, question), daemon=True)
            for name, question in questions.items()
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, name: str, question: Callable[[], T]) -> None:
        self._answers[name] = question()

    def answers(self, within_s: float) -> dict[str, T]:
        """The answers that came, counted from this call; a question without one is left out."""
        end = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return dict(self._answers)
