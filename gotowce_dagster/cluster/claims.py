"""One run at a time for each video, on all nodes together.

When Ray loses a node that is still computing, Dagster calls the run failed and launches another one. That one
waits for the first as long as it lives, and then finds everything current. A run that lives changes its claim
every few seconds; only changes count, so the clocks of the nodes may differ. A claim is a row of Dagster's
storage, and each change of it one conditional update: of two runs that see a free video, one gets it.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count

from dagster import DagsterInstance
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import KeyValueStoreTable
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from gotowce_dagster.core.background import in_background

_logger = logging.getLogger(__name__)

BEAT_S = 5.0
"""How often a run changes its claim."""
LOST_S = 30.0
"""How long a claim must stay unchanged until its run is taken for dead: several beats, for busy machines."""
_FREE = ""


@contextmanager
def claimed(
    instance: DagsterInstance, video: str, run_id: str, *, beat_s: float = BEAT_S, lost_s: float = LOST_S
) -> Generator[None]:
    """Wait until no other run works on a video, and claim it until the end of the block."""
    claim = _Claim(instance, video, run_id)
    claim.wait_and_take(beat_s, lost_s)

    def beat(stopped: threading.Event) -> None:
        is_lost = False
        while not stopped.wait(beat_s):
            try:
                kept = claim.renew()
            except Exception:  # the database is away for a moment
                _logger.exception("the claim of %s is not renewed; the next try is in %g s", video, beat_s)
                continue
            if not kept and not is_lost:
                _logger.warning("another run took %s over, because this one was silent too long", video)
            is_lost = not kept

    try:
        with in_background(beat, "claim"):
            yield
    finally:
        claim.release()


class _Claim:
    """A run's claim on a video: a row that it may change only while the row is free or its own."""

    def __init__(self, instance: DagsterInstance, video: str, run_id: str) -> None:
        storage = instance.run_storage
        assert isinstance(storage, SqlRunStorage), "Dagster's own storages are all SQL"
        self._storage, self._run_id = storage, run_id
        self._key = f"gotowce/claim/{video}"
        self._beats = count()

    def wait_and_take(self, beat_s: float, lost_s: float) -> None:
        """Return once the row is this run's: it was free, or its run stopped changing it."""
        with suppress(IntegrityError), self._storage.connect() as connection:  # the row exists
            connection.execute(insert(KeyValueStoreTable).values(key=self._key, value=_FREE))
        seen, since = self._read(), time.monotonic()
        has_warned = False
        while True:
            is_dead = time.monotonic() - since >= lost_s
            if (seen == _FREE or is_dead or self._is_own(seen)) and self._change(seen, self._text()):
                return
            if (now := self._read()) != seen:
                seen, since = now, time.monotonic()
                continue
            if not has_warned:
                _logger.warning("waiting for another run of this video, as long as it lives: %s", seen)
                has_warned = True
            time.sleep(beat_s / 2)

    def renew(self) -> bool:
        """Change the row; False if another run has it."""
        seen = self._read()
        return (seen == _FREE or self._is_own(seen)) and self._change(seen, self._text())

    def release(self) -> None:
        """Free the row, unless another run has it."""
        if self._is_own(seen := self._read()):
            self._change(seen, _FREE)

    def _text(self) -> str:
        return json.dumps({"run": self._run_id, "host": socket.gethostname(), "beat": next(self._beats)})

    def _is_own(self, text: str) -> bool:
        return text != _FREE and json.loads(text)["run"] == self._run_id

    def _read(self) -> str:
        return self._storage.get_cursor_values({self._key}).get(self._key, _FREE)

    def _change(self, seen: str, text: str) -> bool:
        """Write ``text`` if the row is as it was seen; whether it was."""
        row = KeyValueStoreTable.c
        if_seen = update(KeyValueStoreTable).where(row.key == self._key, row.value == seen)
        with self._storage.connect() as connection:
            return connection.execute(if_seen.values(value=text)).rowcount == 1
