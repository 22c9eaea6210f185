"""Two runs of one video do not compute at the same time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.cluster.claims import claimed

pytestmark = pytest.mark.slow

BEAT_S, LOST_S = 0.05, 1.0


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def claim(instance: dg.DagsterInstance, video: str, run_id: str):
    return claimed(instance, video, run_id, beat_s=BEAT_S, lost_s=LOST_S)


def test_a_run_waits_for_one_that_lives_and_takes_longer_than_a_lost_one(
    instance: dg.DagsterInstance,
) -> None:
    order = []
    begun = threading.Event()

    def first() -> None:
        with claim(instance, "duel", "first"):
            begun.set()
            time.sleep(2 * LOST_S)
            order.append("first is done")

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(30)
    time.sleep(5 * BEAT_S)
    with claim(instance, "duel", "second"):
        order.append("second begins")
    thread.join()
    assert order == ["first is done", "second begins"]


def test_a_run_takes_over_from_one_that_was_killed(instance: dg.DagsterInstance) -> None:
    key = "gotowce/claim/duel"
    instance.daemon_cursor_storage.set_cursor_values({key: '{"run": "killed", "host": "a", "beat": 3}'})
    start = time.monotonic()
    with claim(instance, "duel", "second"):
        waited = time.monotonic() - start
    assert waited >= LOST_S
    start = time.monotonic()
    with claim(instance, "duel", "third"):
        assert time.monotonic() - start < LOST_S, "a finished run leaves no claim"


def test_other_videos_and_the_own_run_do_not_wait(instance: dg.DagsterInstance) -> None:
    start = time.monotonic()
    with (
        claim(instance, "duel", "first"),
        claim(instance, "race", "second"),
        claim(instance, "duel", "first"),
    ):
        assert time.monotonic() - start < LOST_S
