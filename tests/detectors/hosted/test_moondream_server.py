import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gotowce_dagster.config.detector_settings import MoondreamServerSettings
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from gotowce_dagster.detectors.hosted.moondream_server import MoondreamServer
from gotowce_dagster.detectors.registry import build_detector
from tests.detectors.servers import Server, Turn, serving

KEY = "md-very-secret-0123456789"
NOTHING = {"objects": []}


def objects(*rows: tuple[float, float, float, float]) -> dict[str, Any]:
    names = ("x_min", "y_min", "x_max", "y_max")
    return {"request_id": "1", "objects": [dict(zip(names, row, strict=True)) for row in rows]}


@pytest.fixture
def server():
    with serving(Turn(objects((0.1, 0.2, 0.5, 0.6)))) as one:
        yield one


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (100, 200, 3), np.uint8)


async def no_wait(seconds: float) -> None:
    """Do not wait."""


def moondream(tmp_path: Path, server: Server, **changes: Any) -> MoondreamServer:
    settings = MoondreamServerSettings.model_validate(
        {
            "base_url": f"{server.address}/v1",
            "prompts": {"target": ["a bracket"]},
            "send": True,
            "parallel": 1,
            "requests_per_minute": None,
        }
        | changes
    )
    return MoondreamServer("moon", settings, cache=AnswerCache(tmp_path / "answers"), sleep=no_wait)


def test_shares_become_pixels(tmp_path: Path, server: Server) -> None:
    detector = moondream(tmp_path, server, image_px=100)
    (found,) = detector.detect([image()])
    np.testing.assert_allclose(found.xyxy, [[20, 20, 100, 60]])
    assert found.confidence == pytest.approx([1])
    assert list(found.data["class_name"]) == ["target"]
    (request,) = server.requests
    assert request.path == "/v1/detect"
    assert request.body["object"] == "a bracket"
    sent = Image.open(io.BytesIO(base64.b64decode(request.body["image_url"].partition(",")[2])))
    assert sent.size == (100, 50)
    assert "x-moondream-auth" not in request.headers
    assert (detector.bill.answers, detector.bill.invalid) == (1, 0)


def test_every_phrase_is_asked_for_and_no_object_comes_twice(tmp_path: Path, server: Server) -> None:
    server.turns.extend(
        [Turn(objects((0.1, 0.2, 0.5, 0.6))), Turn(objects((0.1, 0.2, 0.51, 0.6), (0.7, 0.7, 0.9, 0.9)))]
    )
    detector = moondream(tmp_path, server, prompts={"target": ["a bracket", "a square"]})
    (found,) = detector.detect([image()])
    assert len(found) == 2
    assert {request.body["object"] for request in server.requests} == {"a bracket", "a square"}


@pytest.mark.parametrize(
    ("turn", "boxes", "invalid", "why"),
    [
        (Turn(NOTHING), 0, 0, ""),
        (Turn(raw="I see nothing of the sort."), 0, 1, "no JSON"),
        (Turn(raw='{"objects": [{"x_min": 0.1, "y_'), 0, 1, "broken JSON"),
        (Turn({"error": "no such model"}), 0, 1, "form"),
        (Turn({"objects": "none"}), 0, 1, "form"),
        (Turn({"objects": [{"x_min": 0.1}]}), 0, 1, "form"),
        (Turn(objects((1.2, 1.2, 1.4, 1.4))), 0, 1, "outside"),
        (Turn(objects((0.5, 0.6, 0.1, 0.2))), 1, 0, "swapped"),
        (Turn(objects((0.5, 0.6, 1.2, 1.2))), 1, 0, "partly outside"),
        (Turn(objects((20, 20, 100, 60))), 1, 0, "other coordinates than it says"),
        (Turn({}, status=400), 0, 1, "HTTP 400"),
        (Turn({}, status=302, headers={"location": "http://127.0.0.1:1/"}), 0, 1, "not followed"),
    ],
)
def test_bad_answers_are_counted_or_put_right(
    tmp_path: Path, server: Server, turn: Turn, boxes: int, invalid: int, why: str
) -> None:
    server.turns.append(turn)
    detector = moondream(tmp_path, server)
    bad, good = detector.detect([image(1), image(2)])
    assert (len(bad), len(good)) == (boxes, 1)
    assert detector.bill.invalid == invalid
    assert why in " ".join(detector.record.faults + detector.record.repaired)
    assert bool(bad.metadata["unanswered"] if bad.metadata else "") == bool(invalid)


def test_busy_servers_are_asked_again_and_answers_kept(tmp_path: Path, server: Server) -> None:
    server.turns.extend([Turn({}, status=429, headers={"retry-after": "0"}), Turn({}, status=500)])
    detector = moondream(tmp_path, server)
    (found,) = detector.detect([image()])
    assert len(found) == 1
    assert detector.bill.retries == 2
    again = moondream(tmp_path, server, send=False)
    assert len(again.detect([image()])[0]) == 1
    assert (again.bill.kept, len(server.requests)) == (1, 3)
    with pytest.raises(InputError, match="nothing was sent"):
        again.detect([image(7)])


def test_the_key_goes_into_its_header_and_nowhere_else(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOONDREAM_API_KEY", KEY)
    server.turns.append(Turn(raw=f"bad key {KEY}", status=401))
    detector = moondream(tmp_path, server, key_variable="MOONDREAM_API_KEY")
    with pytest.raises(GotowceError, match="MOONDREAM_API_KEY") as caught:
        detector.detect([image()])
    assert server.requests[0].headers["x-moondream-auth"] == KEY
    assert KEY not in str(server.requests[0].body)
    assert KEY not in str(caught.value) + repr(detector.record)


def test_it_points_counts_describes_and_answers(tmp_path: Path, server: Server) -> None:
    points = {"points": [{"x": 0.5, "y": 0.5}, {"x": 0.25, "y": 0.1}]}
    server.turns.extend(
        [
            Turn(points),
            Turn({"points": [{"x": 3, "y": 0.5}]}),
            Turn({"points": 4}),
            Turn({"caption": " A cockpit. "}),
            Turn({"caption": 4}),
            Turn({"answer": "Two."}),
            Turn(raw="?"),
        ]
    )
    detector = moondream(tmp_path, server)
    good, outside, other = detector.point([image(1), image(2), image(3)], "a bracket")
    assert good is not None
    np.testing.assert_allclose(good, [[100, 50], [50, 10]])
    assert outside is None
    assert other is None
    assert detector.count([image(1)], "a bracket") == [2]
    assert detector.describe([image(1), image(2)]) == ["A cockpit.", None]
    assert detector.query([image(1), image(2)], "How many?") == ["Two.", None]
    assert detector.bill.invalid == 4
    assert {request.path for request in server.requests} == {"/v1/point", "/v1/caption", "/v1/query"}


def test_the_registry_builds_it() -> None:
    detector = build_detector("moon", MoondreamServerSettings(), Profile(name="none"))
    assert detector.name == "moon"
