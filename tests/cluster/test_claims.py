"""Two runs of one video do not compute at the same time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.cluster.claims import claimed

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


KEY = "gotowce/claim/duel"


@pytest.mark.parametrize("before", ["", '{"run": "killed", "host": "a", "beat": 3}'], ids=["free", "dead"])
def test_runs_that_begin_together_take_turns(instance: dg.DagsterInstance, before: str) -> None:
    if before:
        instance.daemon_cursor_storage.set_cursor_values({KEY: before})
    runs = [f"run{number}" for number in range(4)]
    together = threading.Barrier(len(runs))
    working, most, done = 0, 0, []
    lock = threading.Lock()

    def work(run_id: str) -> None:
        nonlocal working, most
        together.wait()
        with claimed(instance, "duel", run_id, beat_s=BEAT_S, lost_s=4 * LOST_S):
            with lock:
                working += 1
                most = max(most, working)
            time.sleep(2 * BEAT_S)
            with lock:
                working -= 1
            done.append(run_id)

    threads = [threading.Thread(target=work, args=(run_id,)) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, sorted(done)) == (1, runs)


def test_a_run_that_was_taken_over_leaves_the_claim_of_the_other_alone(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    other = '{"run": "second", "host": "b", "beat": 0}'
    with claim(instance, "duel", "first"):
        instance.daemon_cursor_storage.set_cursor_values({KEY: other})  # as after it was silent too long
        time.sleep(5 * BEAT_S)
        assert instance.daemon_cursor_storage.get_cursor_values({KEY}) == {KEY: other}
    assert instance.daemon_cursor_storage.get_cursor_values({KEY}) == {KEY: other}
    assert caplog.text.count("another run took duel over") == 1
