"""The server of interactive segmentation accepts only valid requests of its own user."""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.review.assist import Assistant
from gotowce_dagster.review.assist_server import (
    BODY_BYTES,
    DEPTH,
    RefusedError,
    _read_json,
    application,
    serving,
)
from tests.review.assisting import (
    AUTH,
    CONFIG,
    PASSWORD,
    TOKEN,
    click,
    middle,
    request,
)
from tests.review.clicking import Flood


def test_the_token_in_setup_is_not_logged(backend: TestClient, logged: list[str]) -> None:
    answer = backend.post("/setup", json={"project": "1.2", "access_token": TOKEN, "schema": CONFIG})
    assert answer.json() == {"model_version": "flood"}
    assert TOKEN not in answer.text + " ".join(logged)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("http://127.0.0.1:1/data/local-files/?d=frames/duel/000000.jpg", "an address to fetch"),
        ("//elsewhere/data/local-files/?d=frames/duel/000000.jpg", "an address without a scheme"),
        ("file:///etc/hostname", "a file address"),
        ("/data/local-files/?d=frames/duel/../../videos.yaml", "out of the folder"),
        ("/data/local-files/?d=/etc/hostname", "from the root"),
        ("/data/local-files/?d=videos.yaml", "not a frame"),
        ("/data/local-files/?d=frames/duel/999999.jpg", "does not exist"),
        ("/data/local-files/?d=frames/duel", "a folder"),
        ("/data/upload/1/x.jpg", "uploaded"),
    ],
)
def test_only_the_projects_frames_are_read(
    backend: TestClient, model: Flood, logged: list[str], file: str, why: str
) -> None:
    answer = backend.post("/predict", json=request(click(5, 5), file=file))
    assert (answer.status_code, model.encoded) == (400, []), why
    assert "not a frame in" in answer.json()["detail"]
    assert "not a frame in" in logged[0]


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ([click(5, 5, positive=False)], "click on the object first"),
        ([click(5, 5) | {"value": {"x": 1, "y": 1}}], "choose a class"),
        ([{"type": "brushlabels", "value": {}}], "neither a click nor a box"),
        ([{"type": "keypointlabels", "value": {"x": "a"}}], "not a request from Label Studio"),
        ([{}], "not a request from Label Studio"),
    ],
)
def test_invalid_requests_get_a_one_sentence_error(
    backend: TestClient, regions: list[dict[str, Any]], words: str
) -> None:
    answer = backend.post("/predict", json=request(*regions))
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert "Traceback" not in answer.text


def test_other_host_names_are_refused(world: Project, model: Flood) -> None:
    app = application(Assistant(world, model), print, PASSWORD)
    with TestClient(app, base_url="http://rebound.example") as client:
        assert client.get("/health").status_code == 400


WRONG = [
    pytest.param(None, id="none"),
    pytest.param(("gotowce", "guess"), id="another password"),
    pytest.param(("gotowce", ""), id="no password"),
    pytest.param(("someone", PASSWORD), id="another name"),
    pytest.param(("gotowce", PASSWORD[:-1]), id="nearly"),
]


@pytest.mark.parametrize("auth", WRONG)
@pytest.mark.parametrize("path", ["/", "/health", "/setup", "/predict", "/webhook", "/elsewhere"])
def test_requests_without_the_token_are_refused(
    backend: TestClient, model: Flood, logged: list[str], path: str, auth: tuple[str, str] | None
) -> None:
    asked = request(click(*middle(0)))
    method = "GET" if path in ("/", "/health") else "POST"
    with TestClient(backend.app, base_url="http://127.0.0.1") as stranger:
        if auth:
            stranger.auth = auth
        answer = stranger.request(method, path, json=asked if method == "POST" else None)
    assert (answer.status_code, model.encoded, logged) == (401, [], [])
    assert "flood" not in answer.text


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!", pytest.param(f"Bearer {PASSWORD}", id="Bearer"), "Basic Z290b3djZQ==", "\xff"],
)
def test_malformed_authorization_is_refused(backend: TestClient, header: str) -> None:
    with TestClient(backend.app, base_url="http://127.0.0.1") as stranger:
        answer = stranger.get("/health", headers={b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_simple_cross_origin_requests_are_refused(
    backend: TestClient, model: Flood, path: str, kind: str
) -> None:
    answer = backend.post(path, content=b"{}", headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 415
    assert "expected application/json" in answer.json()["detail"]


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"[" + b" " * (BODY_BYTES - 2) + b"]", 400, id="as large as may be"),
        pytest.param(b"[" + b" " * BODY_BYTES + b"]", 413, id="too large"),
        pytest.param(nested(DEPTH), 400, id="as deep as may be"),
        pytest.param(nested(DEPTH + 1), 413, id="too deep"),
        pytest.param(nested(500_000), 413, id="as deep as would end the parser"),
        pytest.param(b'{"a": "' + b"[" * 100 + b'"}', 400, id="brackets in text are no depth"),
        pytest.param(b'{"a": "\\"' + b"[" * 100 + b'"}', 400, id="after an escaped quote as well"),
        pytest.param(b"{", 400, id="cut short"),
        pytest.param(b"\xff\xfe", 400, id="no text"),
        pytest.param(b"NaN", 400, id="a number"),
    ],
)
def test_bodies_are_bounded(backend: TestClient, model: Flood, body: bytes, status: int) -> None:
    answer = backend.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, model.encoded) == (status, [])


def test_an_endless_body_is_refused() -> None:
    """The body is read in chunks and refused after a few: 300 MB are never in memory."""
    read = []

    async def receive() -> dict[str, Any]:
        read.append(1_000_000)
        return {"type": "http.request", "body": b" " * 1_000_000, "more_body": len(read) < 300}

    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
    # In a thread of its own: the browser of other tests may have a loop running in this one.
    with ThreadPoolExecutor(1) as pool, pytest.raises(RefusedError, match=r"exceeds \d+ bytes"):
        pool.submit(anyio.run, _read_json, Request(scope, receive)).result()
    assert sum(read) <= BODY_BYTES + 1_000_000


def test_it_listens_on_loopback_and_stops(world: Project, model: Flood) -> None:
    app = application(Assistant(world, model), print, PASSWORD)
    with serving(app, 0) as url:
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/health", auth=AUTH).is_success
        port = int(url.rpartition(":")[2])
        with pytest.raises(InputError, match=f"--port {port}: not available"), serving(app, port):
            pytest.fail("it must not start")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
