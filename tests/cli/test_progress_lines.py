import logging
import re
import time

import pytest

from gotowce_dagster.cli import console


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LINE_EVERY_S", 0.05)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_lines_while_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bars() as start:
        show = start("masks@a")
        show(0, 8)
        time.sleep(0.2)
    lines = _lines(capsys)
    assert len(lines) >= 2
    assert all(re.fullmatch(r"masks@a: 0/8, \d+ s so far", line) for line in lines)


def test_a_line_has_count_rate_and_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bars() as start:
        show = start("masks@a")
        show(2, 8)
        time.sleep(0.12)
    assert re.fullmatch(r"masks@a: 2/8, [\d.]+/s, \d+ s left", _lines(capsys)[-1])


def test_the_end_is_one_line_and_then_there_is_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bars() as start:
        show = start("masks@a")
        for done in (1, 2, 2):
            show(done, 2)
        time.sleep(0.12)
    (line,) = _lines(capsys)
    assert re.fullmatch(r"masks@a: 2/2, [\d.e+]+/s, \d+ s", line)


def test_what_the_package_logs_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("gotowce_dagster.stages.finetuned_model")
    with console.progress_bars():
        logger.info("epoch %d of %d: loss %.3g", 1, 6, 2.5)
    logger.info("after the end")
    assert _lines(capsys) == ["epoch 1 of 6: loss 2.5"]
