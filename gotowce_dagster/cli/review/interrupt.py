"""A signal handler that ends a server on Ctrl-C and SIGTERM alike."""

from typing import Any, NoReturn


def interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
