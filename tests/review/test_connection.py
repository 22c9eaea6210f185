import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.review.connection import (
    Connection,
    Secrets,
    ServerDownError,
    connect,
    find,
    read_secrets,
    server_folder,
    write_secrets,
)

_SECRETS = Secrets(token="t" * 40, email="a@b.test", password="secret", url="http://127.0.0.1:8080")


@pytest.fixture(autouse=True)
def _no_server_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)


def test_secrets_are_readable_by_this_user_only(tmp_path: Path) -> None:
    write_secrets(tmp_path, _SECRETS)
    write_secrets(tmp_path, _SECRETS)
    assert read_secrets(tmp_path) == _SECRETS
    assert stat.S_IMODE((server_folder(tmp_path) / "server.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(server_folder(tmp_path).stat().st_mode) == 0o700


def test_damaged_secrets_are_named(tmp_path: Path) -> None:
    write_secrets(tmp_path, _SECRETS)
    (server_folder(tmp_path) / "server.json").write_text("{")
    with pytest.raises(InputError, match=r"server.json: damaged"):
        read_secrets(tmp_path)


def test_a_server_in_the_environment_takes_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerDownError, match="start it with `gotowce review serve`"):
        find(tmp_path)
    write_secrets(tmp_path, _SECRETS)
    assert find(tmp_path) == Connection(_SECRETS.url, _SECRETS.token)
    monkeypatch.setenv("LABEL_STUDIO_URL", "https://labels.example/")
    with pytest.raises(InputError, match="set both LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"):
        find(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "k")
    assert find(tmp_path) == Connection("https://labels.example", "k")


@pytest.fixture
def answer() -> Iterator[dict[str, object]]:
    """A server that sends one body for every request: its body and URL."""
    served: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(str(served["body"]).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    served["url"] = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps({"release": "1.10.1"}), "Label Studio 1.10.1 is too old; 1.20 or newer is needed"),
        ("<html>hello</html>", "not a Label Studio server"),
        ("[]", "not a Label Studio server"),
        ("{}", "not a Label Studio server"),
    ],
    ids=["old release", "a web page", "other JSON", "no release"],
)
def test_other_servers_and_old_releases_are_refused(
    answer: dict[str, object], body: str, message: str
) -> None:
    answer["body"] = body
    with pytest.raises(InputError, match=message):
        connect(Connection(str(answer["url"]), "token"))


@pytest.mark.parametrize("url", ["localhost:8080", "http://[::1", "ftp://127.0.0.1"])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="LABEL_STUDIO_URL"):
        connect(Connection(url, "token"))
