import base64
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gotowce_dagster.core.errors import GotowceError, InputError
from tests.detectors.hosted.asking import GOOD, KEY, MODELS, Waits, hosted, image, rows
from tests.detectors.servers import Server, Turn, boxes, serving

pytestmark = pytest.mark.usefixtures("keys")


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["tool", "schema", "text"])
@pytest.mark.parametrize("provider", list(MODELS))
def test_every_provider_is_understood_in_its_own_words(
    tmp_path: Path, server: Server, provider: str, answer: str
) -> None:
    if answer != "tool":
        server.then = Turn(words=json.dumps(GOOD))
    detector = hosted(tmp_path, server, provider, answer=answer)
    (found,) = detector.detect([image()])
    assert rows(found) == [(40, 20, 120, 100)]
    assert found.confidence == pytest.approx([0.9])
    assert list(found.data["class_name"]) == ["target"]
    assert list(found.data["prompt"]) == ["a bracket"]
    (request,) = server.requests
    sent = json.dumps(request.body)
    assert "a bracket" in sent
    assert "320 wide and 200 high" in sent
    bill = detector.bill
    assert (bill.frames, bill.answers, bill.invalid, bill.requests, bill.retries) == (1, 1, 0, 1, 0)
    assert (bill.tokens_in, bill.tokens_out) == (1000, 100)
    if provider == "anthropic":
        assert bill.money == bill.paid == pytest.approx((1000 * 1 + 100 * 5) / 1e6)
    if provider == "openai":
        assert request.body["store"] is False
    if provider == "compatible":
        assert np.isnan(bill.money)
        assert "authorization" not in request.headers or KEY not in request.headers["authorization"]
    else:
        assert KEY in " ".join(request.headers.values())


def test_a_large_picture_is_sent_smaller_and_its_boxes_come_back(tmp_path: Path, server: Server) -> None:
    server.then = Turn(boxes(("a bracket", 10, 10, 50, 30, 0.9)))
    detector = hosted(tmp_path, server, image_px=100, image_format="png")
    picture = np.zeros((200, 400, 3), np.uint8)
    picture[:, :200], picture[100:, 200:] = (255, 0, 0), (0, 0, 255)
    (found,) = detector.detect([picture])
    assert rows(found) == [(40, 40, 200, 120)]
    part = server.requests[0].body["messages"][0]["content"][1]["image_url"]["url"]
    assert part.startswith("data:image/png;base64,")
    sent = Image.open(io.BytesIO(base64.b64decode(part.partition(",")[2])))
    assert sent.size == (100, 50)
    assert [sent.getpixel(place) for place in ((10, 10), (90, 10), (90, 40))] == [
        (255, 0, 0),
        (0, 0, 0),
        (0, 0, 255),
    ]


BAD = {
    "a refusal": (Turn(words="I cannot help to find targets."), [], 1, "no JSON"),
    "broken JSON": (Turn('{"coordinates": "pixel", "boxes": [{"label": "a br'), [], 1, "broken JSON"),
    "another form": (Turn({"answer": 42}), [], 1, "form"),
    "not a box": (Turn({"coordinates": "pixel", "boxes": ["there"]}), [], 1, "form"),
    "wholly outside": (Turn(boxes(("a bracket", 900, 900, 990, 990, 0.9))), [], 1, "outside"),
    "without area": (Turn(boxes(("a bracket", 50, 50, 50, 90, 0.9))), [], 1, "without area"),
    "partly outside": (
        Turn(boxes(("a bracket", 300, 180, 350, 250, 0.9))),
        [(300, 180, 320, 200)],
        0,
        "partly outside",
    ),
    "swapped corners": (
        Turn(boxes(("a bracket", 120, 100, 40, 20, 0.9))),
        [(40, 20, 120, 100)],
        0,
        "corners swapped",
    ),
    "fractions instead of the stated pixels": (
        Turn(boxes(("a bracket", 0.125, 0.1, 0.375, 0.5, 0.9))),
        [(40, 20, 120, 100)],
        0,
        "other coordinates than it says",
    ),
    "thousandths, as stated": (
        Turn(boxes(("a bracket", 125, 100, 375, 500, 0.9), coordinates="thousand")),
        [(40, 20, 120, 100)],
        0,
        "other coordinates than asked for",
    ),
    "prose around it": (
        Turn(words=f"Here you are:\n```json\n{json.dumps(GOOD)}\n```\nGood luck!"),
        [(40, 20, 120, 100)],
        0,
        "",
    ),
    "no objects": (Turn(boxes()), [], 0, ""),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_answers_are_counted_or_put_right(tmp_path: Path, server: Server, case: str) -> None:
    turn, expected, invalid, why = BAD[case]
    server.turns.append(turn)
    detector = hosted(tmp_path, server)
    bad, good = detector.detect([image(1), image(2)])
    assert rows(bad) == expected
    assert rows(good) == [(40, 20, 120, 100)]
    assert detector.bill.invalid == invalid
    counted = detector.record.faults + detector.record.repaired
    assert sum(counted.values()) == bool(why)
    assert why in " ".join(counted)
    assert bool(bad.metadata.get("unanswered")) == bool(invalid)
    assert len(server.requests) == 2


@pytest.mark.parametrize("provider", list(MODELS))
@pytest.mark.parametrize(
    "raw",
    ["<html>proxy</html>", "{}", "[]", '{"choices": "x", "candidates": 3, "output": 1, "content": "y"}', ""],
)
def test_a_body_of_another_protocol_is_no_crash(
    tmp_path: Path, server: Server, provider: str, raw: str
) -> None:
    server.turns.append(Turn(raw=raw))
    detector = hosted(tmp_path, server, provider)
    bad, good = detector.detect([image(1), image(2)])
    assert len(bad) == 0
    assert bad.metadata["unanswered"]
    assert rows(good) == [(40, 20, 120, 100)]
    assert detector.bill.invalid == 1


@pytest.mark.parametrize("provider", list(MODELS))
@pytest.mark.parametrize(
    ("turn", "waited"),
    [
        (Turn({}, status=429, headers={"retry-after": "7"}), [7.0]),
        (Turn({}, status=500), None),
        (Turn({}, status=503, headers={"retry-after": "0.5"}), [0.5]),
    ],
)
def test_retry_after_of_a_busy_server_is_respected(
    tmp_path: Path, server: Server, provider: str, turn: Turn, waited: list[float] | None
) -> None:
    server.turns.extend([turn])
    waits = Waits()
    detector = hosted(tmp_path, server, provider, waits)
    (found,) = detector.detect([image()])
    assert len(found) == 1
    assert (detector.bill.requests, detector.bill.retries, detector.bill.invalid) == (2, 1, 0)
    if waited is None:
        assert len(waits.waited) == 1
        assert 0.5 <= waits.waited[0] <= 1
    else:
        assert waits.waited == pytest.approx(waited)


def test_a_server_that_never_recovers_costs_that_picture_only(tmp_path: Path, server: Server) -> None:
    server.turns.extend([Turn({}, status=500)] * 3)
    waits = Waits()
    detector = hosted(tmp_path, server, waits=waits, retries=2)
    bad, good = detector.detect([image(1), image(2)])
    assert (len(bad), len(good)) == (0, 1)
    assert bad.metadata["unanswered"].startswith("HTTP 500")
    assert waits.waited[0] < waits.waited[1], "waits grow"
    bill = detector.bill
    assert (bill.answers, bill.invalid, bill.unanswered, bill.retries) == (2, 1, 1, 2)
    detector.detect([image(1)])
    assert detector.bill.unanswered == 1, "what was not answered is not kept, but asked again"


def test_silence_is_not_waited_for_long(tmp_path: Path, server: Server) -> None:
    server.turns.append(Turn(GOOD, delay_s=0.6))
    detector = hosted(tmp_path, server, timeout_s=0.2, retries=0)
    (found,) = detector.detect([image()])
    assert found.metadata["unanswered"] == "no answer in time"


def test_a_server_that_asks_for_an_hour_is_left(tmp_path: Path, server: Server) -> None:
    server.turns.append(Turn({}, status=429, headers={"retry-after": "3600"}))
    waits = Waits()
    (found,) = hosted(tmp_path, server, waits=waits).detect([image()])
    assert found.metadata["unanswered"].startswith("HTTP 429")
    assert waits.waited == []


@pytest.mark.parametrize("provider", list(MODELS))
def test_a_redirect_does_not_take_the_key_elsewhere(tmp_path: Path, server: Server, provider: str) -> None:
    with serving(Turn(GOOD)) as elsewhere:
        server.turns.append(Turn({}, status=307, headers={"location": elsewhere.address + "/v1/messages"}))
        changes: dict[str, Any] = {"key_variable": "MY_KEY"} if provider == "compatible" else {}
        detector = hosted(tmp_path, server, provider, **changes)
        bad, good = detector.detect([image(1), image(2)])
        assert elsewhere.requests == []
    assert "not followed" in bad.metadata["unanswered"]
    assert len(good) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_key_ends_the_run_without_telling_it(tmp_path: Path, server: Server, status: int) -> None:
    server.then = Turn(raw=f'{{"error": {{"message": "Incorrect API key: {KEY}"}}}}', status=status)
    detector = hosted(tmp_path, server, "openai")
    with pytest.raises(GotowceError, match=f"HTTP {status}.*OPENAI_API_KEY") as caught:
        detector.detect([image()])
    assert KEY not in str(caught.value)
    assert KEY not in repr(detector.record)


def test_a_second_look_replaces_the_first(tmp_path: Path, server: Server) -> None:
    server.turns.extend([Turn(GOOD), Turn(boxes(("a bracket", 50, 30, 110, 90, 0.8)))])
    detector = hosted(tmp_path, server, refine="only the bracket itself")
    (found,) = detector.detect([image()])
    assert rows(found) == [(50, 30, 110, 90)]
    asked = json.dumps(server.requests[1].body["messages"])
    assert "only the bracket itself" in asked
    assert "40.0" in asked, "its first answer is shown to it"
    server.turns.append(Turn(boxes()))
    (nothing,) = detector.detect([image(5)])
    assert len(nothing) == 0
    assert len(server.requests) == 3, "nothing found, nothing to refine"


def test_it_counts(tmp_path: Path, server: Server) -> None:
    server.turns.extend([Turn({"count": 3}), Turn(words="Many."), Turn({"count": -1})])
    detector = hosted(tmp_path, server)
    assert detector.count([image(1), image(2), image(3)], "brackets") == [3, None, None]
    assert (detector.bill.answers, detector.bill.invalid) == (3, 2)
    assert "brackets" in json.dumps(server.requests[0].body)


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google", "compatible"])
def test_the_key_appears_nowhere(
    tmp_path: Path, server: Server, provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    changes: dict[str, Any] = {"key_variable": "MY_KEY"} if provider == "compatible" else {}
    server.turns.extend([Turn(GOOD), Turn({}, status=500), Turn(raw=KEY, status=400)])
    detector = hosted(tmp_path, server, provider, retries=1, **changes)
    found = detector.detect([image(1), image(2)])
    assert any(KEY in " ".join(request.headers.values()) for request in server.requests), "it was sent"
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert kept
    texts = [caplog.text, kept, repr(detector.record), repr(detector.bill), repr(detector.settings)]
    texts += [repr(one.metadata) for one in found]
    assert not any(KEY in text for text in texts)
    assert "(key)" in repr(detector.record)


@pytest.mark.parametrize(
    ("changes", "key", "match"),
    [
        ({}, None, "set the environment variable MY_KEY"),
        ({}, "a\nb", "MY_KEY: not a key"),
        ({"base_url": "http://example.com/v1"}, KEY, "unencrypted; expected https"),
        ({"base_url": "http://me:pw@127.0.0.1/v1"}, KEY, "leave out the name and password"),
    ],
)
def test_keys_that_cannot_be_used_safely(
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    key: str | None,
    match: str,
) -> None:
    monkeypatch.delenv("MY_KEY")
    if key:
        monkeypatch.setenv("MY_KEY", key)
    detector = hosted(tmp_path, server, key_variable="MY_KEY", **changes)
    with pytest.raises(InputError, match=match) as caught:
        detector.detect([image()])
    assert key is None or key not in str(caught.value)
    assert server.requests == []


def test_answers_come_in_order_whatever_order_they_arrive_in(tmp_path: Path, server: Server) -> None:
    first = Turn(boxes(("a bracket", 0, 0, 10, 10, 0.9)), delay_s=0.2)
    server.turns.extend([first, *[Turn(GOOD)] * 3])
    detector = hosted(tmp_path, server, parallel=4)
    found = detector.detect([image(n) for n in range(4)])
    assert sorted(len(one) for one in found) == [1, 1, 1, 1]
    kept = hosted(tmp_path, server).detect([image(n) for n in range(4)])
    assert [rows(one) for one in found] == [rows(one) for one in kept]
