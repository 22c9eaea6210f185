"""Detectors that behave and misbehave, to be made by name in a fresh process."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.comparison.subjects import Subject
from gotowce_dagster.core.errors import GotowceError, MissingWeightsError
from gotowce_dagster.detectors.base import Cost

BOX = [10.0, 10.0, 30.0, 30.0]
Answer = Callable[[int, np.ndarray], sv.Detections]


def _subject(answer: Answer, cost: Cost | None = None, is_paid: bool = False) -> Subject:
    """One that counts the pictures it is asked about, warming up included, from 0."""
    asked = 0

    def find(images: Sequence[np.ndarray], designators: Sequence[np.ndarray]) -> list[sv.Detections]:
        nonlocal asked
        found = []
        for image in images:
            asked += 1
            found.append(answer(asked - 1, image))
        return found

    return Subject(find, cost or Cost(), (), "cpu", is_paid)


def _one(*boxes: list[float]) -> sv.Detections:
    return sv.Detections(
        xyxy=np.array(boxes or [BOX], float),
        confidence=np.full(max(len(boxes), 1), 0.9),
        data={"class_name": np.full(max(len(boxes), 1), "ship")},
    )


def good(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    print("words that nobody asked for")
    return _subject(lambda number, image: _one())


def profiled(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Tells its profile as its class."""
    found = sv.Detections(np.array([BOX]), data={"class_name": np.array([profile.stem])})
    return _subject(lambda number, image: found)


def not_here(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    raise MissingWeightsError("rogue.pt: not here; fetch it")


def broken(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    raise ZeroDivisionError("no such thing")


def stumbles(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Fails on the second picture after warming up."""

    def answer(number: int, image: np.ndarray) -> sv.Detections:
        if number == 2:
            raise ValueError("this one is too dark")
        return _one()

    return _subject(answer)


def rubbish(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """A good box among such as have no area, or the wrong order."""
    return _subject(lambda number, image: _one([5, 5, 5, 9], BOX, [9, 9, 3, 12]))


def silent(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Gives no answer at all."""
    return Subject(lambda images, designators: [], Cost(), (), "cpu", is_paid=True)


def hangs(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    def answer(number: int, image: np.ndarray) -> sv.Detections:
        if number == 2:
            time.sleep(600)
        return _one()

    return _subject(answer)


def crashes(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    def answer(number: int, image: np.ndarray) -> sv.Detections:
        if number == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        return _one()

    return _subject(answer)


def leaves(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    print("out of luck", file=sys.stderr, flush=True)
    os._exit(3)


def costs(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Paid by the frame from a budget; stops when it is spent. Every second answer is invalid."""
    cost = Cost()

    def answer(number: int, image: np.ndarray) -> sv.Detections:
        if cost.money + 0.25 > settings["budget"]:
            raise GotowceError("the budget is spent")
        cost.answers += 1
        cost.invalid += number % 2
        cost.tokens_in += 100
        cost.money += 0.25
        return _one()

    return _subject(answer, cost, is_paid=True)


def greedy(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Takes 50 MB more for every picture it is given at once, and counts what it was given."""
    held: list[np.ndarray] = []

    def find(images: Sequence[np.ndarray], designators: Sequence[np.ndarray]) -> list[sv.Detections]:
        held[:] = [np.ones(50_000_000 // 8) for _ in images]
        return [_one() for _ in images]

    return Subject(find, Cost(), (), "cpu")


def echo(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Returns the designators of its argument."""
    return Subject(lambda images, designators: [sv.Detections(d) for d in designators], Cost(), (), "cpu")
