"""Ctrl-C and SIGTERM end a server alike."""

from typing import Any, NoReturn


def interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
