"""Work in a thread beside a block of code."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def in_background(work: Callable[[threading.Event], None], name: str) -> Generator[None]:
    """Run ``work(stopped)`` in a thread; at the end of the block ``stopped`` is set and the thread joined."""
    stopped = threading.Event()
    thread = threading.Thread(target=work, args=(stopped,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
