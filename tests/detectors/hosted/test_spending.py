"""What is sent, cached, paced and paid for."""

from pathlib import Path
from typing import Any

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.hosted.money import BudgetSpentError
from tests.detectors.hosted.asking import GOOD, Waits, hosted, image, rows
from tests.detectors.servers import Server, Turn

pytestmark = pytest.mark.usefixtures("keys")


@pytest.mark.slow
def test_nothing_is_sent_unless_allowed(tmp_path: Path, server: Server) -> None:
    detector = hosted(tmp_path, server, "anthropic", send=False)
    with pytest.raises(
        InputError,
        match=r"2 question\(s\) about 2 picture\(s\) of 320 x 200.*for about \$0\.00\d+, at most \$0\.0",
    ):
        detector.detect([image(1), image(2)])
    assert server.requests == []
    hosted(tmp_path, server, "anthropic").detect([image(1)])
    (found,) = hosted(tmp_path, server, "anthropic", send=False).detect([image(1)])
    assert len(found) == 1, "what is kept may be used"


def test_a_second_run_sends_nothing_and_pays_nothing(tmp_path: Path, server: Server) -> None:
    server.turns.extend([Turn(words="No."), Turn(GOOD)])
    images = [image(1), image(2), image(2)]
    first = hosted(tmp_path, server, "anthropic")
    before = [rows(found) for found in first.detect(images)]
    assert len(server.requests) == 2, "a picture that comes twice is asked about once"
    assert (first.bill.answers, first.bill.kept, first.bill.paid) == (3, 1, pytest.approx(0.003))
    again = hosted(tmp_path, server, "anthropic")
    assert [rows(found) for found in again.detect(images)] == before
    assert len(server.requests) == 2
    assert (again.bill.kept, again.bill.requests, again.bill.paid) == (3, 0, 0)
    assert again.bill.invalid == 1, "a refusal that is kept stays a refusal"
    assert again.bill.money == pytest.approx(3 * 0.0015)
    assert again.bill.waited > 0


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"prompts": {"target": ["a square"]}},
        {"coordinates": "unit"},
        {"image_px": 64},
        {"answer": "schema"},
    ],
)
def test_another_question_is_asked_anew(tmp_path: Path, server: Server, change: dict[str, Any]) -> None:
    hosted(tmp_path, server).detect([image()])
    hosted(tmp_path, server, **change).detect([image()])
    assert len(server.requests) == 2


def test_a_pace_that_does_not_matter_for_answers_keeps_them(tmp_path: Path, server: Server) -> None:
    hosted(tmp_path, server).detect([image()])
    hosted(tmp_path, server, retries=9, parallel=3, budget=None, timeout_s=9).detect([image()])
    assert len(server.requests) == 1


def test_requests_keep_to_the_limit_of_a_minute(tmp_path: Path, server: Server) -> None:
    waits = Waits()
    detector = hosted(tmp_path, server, waits=waits, requests_per_minute=20, parallel=3)
    detector.detect([image(n) for n in range(6)])
    assert waits.now == pytest.approx(5 * 3.0), "six requests begin three seconds apart"


def test_the_budget_stops_before_it_is_overdrawn(tmp_path: Path, server: Server) -> None:
    # At $1 and $5 a million tokens, an answer costs $0.0015 and at most $0.0015 + ... is set aside for it.
    server.then = Turn(GOOD, tokens=(1000, 100))
    detector = hosted(tmp_path, server, "anthropic", max_tokens=100, budget=0.005)
    with pytest.raises(BudgetSpentError, match=r"2 of 5 images.*All answers so far are cached") as caught:
        detector.detect([image(n) for n in range(5)])
    assert [None if one is None else len(one) for one in caught.value.done] == [1, 1, 1, None, None]
    assert detector.bill.paid == pytest.approx(0.0045)
    assert (detector.bill.unasked, detector.bill.frames, detector.bill.answers) == (2, 3, 3)
    assert len(server.requests) == 3
    richer = hosted(tmp_path, server, "anthropic", max_tokens=100, budget=0.0035)
    assert all(len(found) == 1 for found in richer.detect([image(n) for n in range(5)]))
    assert (len(server.requests), richer.bill.kept) == (5, 3)


def test_a_budget_holds_while_requests_run_at_once(tmp_path: Path, server: Server) -> None:
    server.then = Turn(GOOD, tokens=(1000, 100), delay_s=0.05)
    detector = hosted(tmp_path, server, "anthropic", max_tokens=100, budget=0.005, parallel=8)
    with pytest.raises(BudgetSpentError) as caught:
        detector.detect([image(n) for n in range(8)])
    assert sum(one is not None for one in caught.value.done) == 3
    assert detector.bill.paid <= 0.005


def test_a_budget_needs_a_price(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no price is known for 'qwen2\.5-vl'"):
        hosted(tmp_path, server, budget=1)
    table = tmp_path / "prices.toml"
    table.write_text(
        'date = 2026-01-01\n[providers.compatible]\nsource = "mine"\n'
        '[providers.compatible.models]\n"qwen2.5-vl" = { input = 2.0, output = 0.0 }\n'
    )
    monkeypatch.chdir(tmp_path)
    detector = hosted(tmp_path, server, budget=1, prices="prices.toml")
    detector.detect([image()])
    assert detector.bill.money == pytest.approx(0.002)
