import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from gotowce_dagster.detectors.hosted.wire import FIRST_WAIT_S, LONGEST_WAIT_S, Pace, backoff, retry_after

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: tests with a browser keep an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_waits_double_and_end_somewhere() -> None:
    for attempt in range(12):
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
        assert longest / 2 <= backoff(attempt) <= longest


@pytest.mark.parametrize(("per_minute", "took"), [(60, 4.0), (30, 8.0), (None, 0.0)])
def test_requests_start_at_even_distances(per_minute: float | None, took: float) -> None:
    now = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    async def work() -> list[float]:
        pace = Pace(per_minute, lambda: now, sleep)
        starts = []

        async def one() -> None:
            await pace.turn()
            starts.append(now)

        await asyncio.gather(*(one() for _ in range(5)))
        return starts

    starts = _run(work())
    assert starts[-1] - starts[0] == pytest.approx(took)
    if per_minute:
        assert all(b - a >= 60 / per_minute - 1e-9 for a, b in pairwise(starts))


def test_a_retry_after_makes_all_wait() -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def work() -> None:
        pace = Pace(None, lambda: now, sleep)
        pace.hold(9)
        await pace.turn()

    _run(work())
    assert now == 9
