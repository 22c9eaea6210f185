"""One run at a time for each video, on all nodes together.

When Ray loses a node that is still computing, Dagster calls the run failed and launches another one. That one
waits for the first as long as it lives, and then finds everything current. A run that lives changes its claim
every few seconds; only changes count, so the clocks of the nodes may differ.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count

from dagster import DagsterInstance

from gotowce_dagster.core.background import in_background

_logger = logging.getLogger(__name__)

BEAT_S = 5.0
"""How often a run changes its claim."""
LOST_S = 30.0
"""How long a claim must stay unchanged until its run is taken for dead: several beats, for busy machines."""


@contextmanager
def claimed(
    instance: DagsterInstance, video: str, run_id: str, *, beat_s: float = BEAT_S, lost_s: float = LOST_S
) -> Generator[None]:
    """Wait until no other run works on a video, and claim it until the end of the block."""
    key = f"gotowce/claim/{video}"
    storage = instance.daemon_cursor_storage

    def read() -> str:
        return storage.get_cursor_values({key}).get(key, "")

    def write(text: str) -> None:
        storage.set_cursor_values({key: text})

    _wait_for_others(read, run_id, beat_s, lost_s)

    def beat(stopped: threading.Event) -> None:
        for number in count():
            try:
                write(json.dumps({"run": run_id, "host": socket.gethostname(), "beat": number}))
            except Exception:  # the database is away for a moment
                _logger.exception("the claim of %s is not renewed; the next try is in %g s", video, beat_s)
            if stopped.wait(beat_s):
                return

    try:
        with in_background(beat, "claim"):
            yield
    finally:
        write("")


def _wait_for_others(read: Callable[[], str], run_id: str, beat_s: float, lost_s: float) -> None:
    seen, since = read(), time.monotonic()
    has_warned = False
    while seen and json.loads(seen)["run"] != run_id and time.monotonic() - since < lost_s:
        if not has_warned:
            _logger.warning("waiting for another run of this video, as long as it lives: %s", seen)
            has_warned = True
        time.sleep(beat_s / 2)
        if (now := read()) != seen:
            seen, since = now, time.monotonic()
