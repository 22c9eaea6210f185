import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.diagnosis import checks
from gotowce_dagster.diagnosis.checks import Finding, diagnose
from gotowce_dagster.propagation.registry import PROPAGATORS
from gotowce_dagster.review.connection import Secrets, write_secrets
from gotowce_dagster.segmenters.registry import SEGMENTERS

TOKEN = "t" * 40


def findings(project: Project) -> dict[str, Finding]:
    return {finding.what: finding for finding in diagnose(Project(project.paths))}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of what answers as Label Studio does and knows one token."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = "version" in self.path or self.headers["Authorization"] == f"Token {TOKEN}"
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"release": "1.23.2", "id": 1, "email": "a@b.test"}')

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    one = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{one.server_port}"
    one.shutdown()
    one.server_close()


@pytest.mark.parametrize(
    ("token", "ok", "says"),
    [
        pytest.param(TOKEN, True, "responds and accepts the token", id="as review serve leaves it"),
        pytest.param("x" * 40, False, "token", id="another token"),
        pytest.param(None, False, "`gotowce review serve`", id="never started"),
    ],
)
def test_our_own_label_studio_is_found(
    clone: Project, server: str, *, token: str | None, ok: bool, says: str
) -> None:
    if token:
        write_secrets(clone.paths.root, Secrets(token, "a@b.test", "secret", server))
    found = findings(clone)["label studio"]
    assert found.ok == ok
    assert says in found.says


def test_every_engine_is_listed_and_one_that_does_not_exist_is_named(clone: Project) -> None:
    text = clone.paths.params.read_text(encoding="utf-8")
    clone.paths.params.write_text(text.replace("segmenter: [", 'segmenter: ["sam3:whatever", ', 1))
    found = findings(clone)
    for stage, registry in (("masks", SEGMENTERS), ("propagation", PROPAGATORS)):
        listed = {what.split(": ")[1].partition(":")[0] for what in found if what.startswith(stage)}
        assert listed - {"sam3"} == set(registry)
    odd = found["masks: sam3:whatever"]
    assert not odd.ok
    assert odd.says == f"there is no engine 'sam3'; known: {', '.join(SEGMENTERS)}"
    assert "propagation: unused" not in found


@pytest.mark.parametrize(("is_half", "says"), [(True, "SAM 2 in bfloat16"), (False, "all in float32")])
def test_the_device_tells_its_precision(
    clone: Project, monkeypatch: pytest.MonkeyPatch, is_half: bool, says: str
) -> None:
    monkeypatch.setattr(checks, "half_precision", lambda device: is_half)
    assert says in findings(clone)["device"].says
