import logging

import pytest

from gotowce_dagster.core import progress


def test_a_part_is_logged_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    log = logging.getLogger("tests.progress")
    caplog.set_level(logging.INFO, log.name)
    show = progress.in_log(log, "frames searched")
    for done in range(21):  # one frame a second
        show(done, 20)
        now += 1.0
    assert caplog.messages == ["frames searched: 8 of 20", "frames searched: 16 of 20"]
