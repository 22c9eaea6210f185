import http.server
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.diagnosis import checks

HTML = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>"


def archive(content: bytes = b"0123456789" * 300_000) -> bytes:
    """As torch.save makes them: a zip archive."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", content)
    return out.getvalue()


def safetensors(numbers: int = 4) -> bytes:
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * numbers)


CONTENT = archive()


class Server:
    """A server on loopback with a set answer for each path."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, str, str | None, str | None]] = []
        mine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = (self.headers["Range"], self.headers["Authorization"])
                mine.asked.append((self.command, self.path, *sent))
                answer = mine.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            do_HEAD = do_GET  # noqa: N815 - as http.server calls it

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def body(
        self, path: str, body: bytes, length: int | None = -1, status: int = 200, **headers: str
    ) -> None:
        """Answer with a body; ``length`` is announced, -1: the body's own, None: none."""

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            sent = body
            start = (request.headers["Range"] or "").removeprefix("bytes=").partition("-")[0]
            code = status
            if start and status == 200 and length == -1:
                sent, code = body[int(start) :], 206
            request.send_response(code)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            if length is not None:
                request.send_header("Content-Length", str(len(sent) if length == -1 else length))
            if code == 206:
                request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            request.end_headers()
            if request.command == "GET":
                request.wfile.write(sent)
                request.close_connection = True

        self.answers[path] = answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "gotowce" / "weights"


@pytest.fixture
def official(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The official address of yolo26n.pt, on loopback, and empty folders to look in."""
    server.body("/yolo26n.pt", CONTENT)
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    at = replace(
        weights.WEIGHTS["yolo26n.pt"], url=f"{server.url}/yolo26n.pt", sha256=sha256(CONTENT).hexdigest()
    )
    monkeypatch.setitem(weights.WEIGHTS, "yolo26n.pt", at)
    return server


@pytest.fixture
def unknown(official: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """As ``official``, where no digest is known."""
    monkeypatch.setitem(weights.WEIGHTS, "yolo26n.pt", replace(weights.WEIGHTS["yolo26n.pt"], sha256=None))
    return official


def test_fetched_once_then_found(official: Server) -> None:
    reported = []
    assert weights.reachable("yolo26n.pt")
    path = weights.require("yolo26n.pt", lambda done, total: reported.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert reported[-1] == (len(CONTENT), len(CONTENT))
    del official.answers["/yolo26n.pt"]
    assert weights.require("yolo26n.pt") == path == weights.find("yolo26n.pt")


def test_own_folder_comes_first(official: Server, tmp_path: Path) -> None:
    weights.require("yolo26n.pt")
    mine = tmp_path / "mine" / "yolo26n.pt"
    mine.parent.mkdir()
    mine.write_bytes(CONTENT)
    assert weights.require("yolo26n.pt") == mine


def test_a_file_of_yours_that_is_not_the_published_one_is_named_and_left_alone(
    official: Server, tmp_path: Path
) -> None:
    weights.require("yolo26n.pt")
    mine = tmp_path / "mine" / "yolo26n.pt"
    mine.parent.mkdir()
    mine.write_bytes(archive(b"mine"))
    with pytest.raises(
        MissingWeightsError, match=r"mine/yolo26n\.pt: not the published yolo26n\.pt \(SHA-256"
    ):
        weights.require("yolo26n.pt")
    assert mine.read_bytes() == archive(b"mine")
    assert any(str(mine) in problem for problem in weights.faults("yolo26n.pt"))


BAD = [
    pytest.param({"body": CONTENT[:-1000], "length": len(CONTENT)}, r"\d+ of \d+ bytes", id="cut body"),
    pytest.param({"body": CONTENT[:-1000]}, "cut short", id="short, and so announced"),
    pytest.param({"body": CONTENT[:-1000], "length": None}, "cut short", id="short, unknown length"),
    pytest.param({"body": HTML}, "it is a web page", id="a page"),
    pytest.param({"body": HTML, "length": len(CONTENT)}, r"\d+ of \d+ bytes", id="a page of wrong length"),
    pytest.param({"body": b""}, "the file is empty", id="nothing"),
]


@pytest.mark.parametrize("known", ["official", "unknown"])
@pytest.mark.parametrize(("answer", "why"), BAD)
def test_what_is_not_the_file_never_becomes_weights(
    known: str, answer: dict, why: str, cache: Path, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(known)
    server.body("/yolo26n.pt", **answer)
    with pytest.raises(MissingWeightsError, match=why):
        weights.require("yolo26n.pt")
    assert [path for _, path, *_ in server.asked] == ["/yolo26n.pt"] * 2, "a second try"
    assert weights.find("yolo26n.pt") is None
    assert (cache / "yolo26n.pt.bad").read_bytes() == answer["body"]
    finding = checks.weights_finding("yolo26n.pt")
    assert "yolo26n.pt.bad: set aside" in finding.result
    server.body("/yolo26n.pt", CONTENT)
    assert weights.require("yolo26n.pt").read_bytes() == CONTENT
    assert not (cache / "yolo26n.pt.bad").exists()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_error_is_no_file(official: Server, cache: Path, status: int) -> None:
    official.body("/yolo26n.pt", CONTENT, status=status)
    assert not weights.reachable("yolo26n.pt")
    with pytest.raises(MissingWeightsError, match=f"HTTP Error {status}.*GOTOWCE_WEIGHTS_DIR"):
        weights.require("yolo26n.pt")
    assert not cache.exists() or not list(cache.iterdir())


def test_redirects_are_followed(official: Server) -> None:
    official.body("/yolo26n.pt", b"", status=302, Location="/elsewhere.pt")
    official.body("/elsewhere.pt", CONTENT)
    assert weights.require("yolo26n.pt").read_bytes() == CONTENT


def test_a_redirect_to_a_page_is_no_file(unknown: Server) -> None:
    unknown.body("/yolo26n.pt", b"", status=302, Location="/login")
    unknown.body("/login", HTML, Content_Type="text/html")
    with pytest.raises(MissingWeightsError, match="it is a web page"):
        weights.require("yolo26n.pt")


def test_a_file_that_was_damaged_later_is_set_aside_and_fetched_again(official: Server, cache: Path) -> None:
    path = weights.require("yolo26n.pt")
    path.write_bytes(CONTENT[:-7])
    assert weights.find("yolo26n.pt") is None
    assert "SHA-256" in checks.weights_finding("yolo26n.pt").result
    assert weights.require("yolo26n.pt").read_bytes() == CONTENT


def test_unknown_digest_is_recorded_and_reported(unknown: Server, cache: Path) -> None:
    path = weights.require("yolo26n.pt")
    assert weights.is_published(path, sha256(CONTENT).hexdigest())
    assert "no known digest" in checks.weights_finding("yolo26n.pt").result
    another = archive(b"another")
    path.write_bytes(another)
    assert weights.find("yolo26n.pt") is None, "whole, but another file"
    unknown.answers.clear()
    with pytest.raises(MissingWeightsError):
        weights.require("yolo26n.pt")
    assert (cache / "yolo26n.pt.bad").read_bytes() == another


@pytest.mark.parametrize("name", ["yolo26n.pt", "sam2_hiera_tiny_image.pt", "never_heard_of.pt"])
def test_missing_weights_say_where_and_how(official: Server, name: str, tmp_path: Path) -> None:
    official.answers.clear()
    assert not weights.reachable(name)
    with pytest.raises(MissingWeightsError, match="GOTOWCE_WEIGHTS_DIR") as error:
        weights.require(name)
    assert name in str(error.value)
    assert str(tmp_path / "mine") in str(error.value)
    assert weights.obstacle(name)


def test_every_published_file_is_pinned() -> None:
    """All hub entries by commit and the digest of their tensors; of the others all but three files."""
    for known in weights.WEIGHTS.values():
        if known.repo:
            assert len(known.revision) == 40, known.name
            assert known.is_verified, known.name
    unverified = {known.name for known in weights.WEIGHTS.values() if not known.is_verified}
    assert unverified == {f"yolov8{size}-worldv2.pt" for size in "sml"} | {"sam2_hiera_tiny_image.pt"}


# A hub of ours, asked by a process of its own: huggingface_hub reads its variables when it is imported.
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSORS = safetensors(500_000)
_ASK = """
import json, sys
from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import MissingWeightsError
commit, digest, again = sys.argv[1:]
files = {"config.json": None, "model.safetensors": digest or None}
known = weights.Weights("Some/model", "hub", "MIT", repo="Some/model", revision=commit, files=files)
weights.WEIGHTS["Some/model"] = known
reported, found = [], []
for _ in range(1 + (again == "again")):
    try:
        path = weights.require("Some/model", lambda done, total: reported.append((done, total)))
        assert weights.find("Some/model") == path
        found.append(str(path))
    except MissingWeightsError as error:
        found.append(f"MissingWeightsError: {error}")
print(json.dumps({"found": found, "reported": reported[-1:], "reachable": weights.reachable("Some/model")}))
"""


def ask(server: Server, tmp_path: Path, digest: str = "", again: str = "", **variables: str) -> dict:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    run = subprocess.run(
        [sys.executable, "-c", _ASK, COMMIT, digest, again],
        env=inherited | own | {"GOTOWCE_WEIGHTS_DIR": str(tmp_path / "mine")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture
def hub(server: Server) -> Server:
    publish(server, TENSORS)
    return server


def publish(server: Server, tensors: bytes, etag: str = "", **changed: object) -> None:
    """Files under the hub's addresses, with its headers."""
    for name, body, tag in (
        ("config.json", b"{}", "9e26dfeeb6e641a33dae4961196235bdb965b21b"),
        ("model.safetensors", tensors, etag or sha256(TENSORS).hexdigest()),
    ):
        headers = {"X_Repo_Commit": COMMIT, "ETag": f'"{tag}"', "X_Linked_Size": str(len(body))}
        more = changed if name == "model.safetensors" else {}
        server.body(f"/Some/model/resolve/{COMMIT}/{name}", body, **{**headers, **more})  # ty: ignore[invalid-argument-type]


@pytest.mark.integration
@pytest.mark.parametrize("digest", ["", sha256(TENSORS).hexdigest()], ids=["as the hub says", "known"])
def test_a_hubs_files_come_from_its_pinned_commit_once(hub: Server, tmp_path: Path, digest: str) -> None:
    got = ask(hub, tmp_path, digest, "again", HF_TOKEN="hf_token_of_mine")
    one, two = got["found"]
    assert one == two
    assert Path(one).is_relative_to(tmp_path / "hf" / "hub"), "in HF_HOME, where other tools find it"
    assert (Path(one) / "model.safetensors").read_bytes() == TENSORS
    assert got["reported"] == [[len(TENSORS), len(TENSORS)]]
    assert got["reachable"]
    asked = [one for one in hub.asked if one[1].startswith("/Some/")]
    fetched = [path for method, path, *_ in asked if method == "GET"]
    assert fetched == [
        f"/Some/model/resolve/{COMMIT}/{name}" for name in ("config.json", "model.safetensors")
    ]
    assert {token for *_, token in asked} == {"Bearer hf_token_of_mine"}
    hub.answers.clear()
    assert ask(hub, tmp_path, digest)["found"] == [one], "the hub is not needed again"


@pytest.mark.integration
def test_hf_hub_offline_is_obeyed(hub: Server, tmp_path: Path) -> None:
    got = ask(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in got["found"][0]
    assert not got["reachable"]
    assert not hub.asked


@pytest.mark.integration
def test_a_broken_connection_is_made_again(hub: Server, tmp_path: Path) -> None:
    path = f"/Some/model/resolve/{COMMIT}/model.safetensors"
    whole = hub.answers[path]

    def broken(request: http.server.BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            publish(hub, TENSORS[:1_000_000], length=len(TENSORS))
            hub.answers[path], cut = whole, hub.answers[path]
            cut(request)
        else:
            whole(request)

    hub.answers[path] = broken
    got = ask(hub, tmp_path)
    assert (Path(got["found"][0]) / "model.safetensors").read_bytes() == TENSORS
    ranges = [sent for method, asked, sent, _ in hub.asked if (method, asked) == ("GET", path)]
    assert len(ranges) == 2


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param({"tensors": TENSORS[:-1000]}, "its header says|SHA-256 is", id="short"),
        pytest.param({"tensors": TENSORS[:-1000], "length": len(TENSORS)}, ".", id="cut body"),
        pytest.param({"tensors": HTML}, "it is a web page", id="a page"),
        pytest.param({"tensors": safetensors(7)}, "SHA-256 is", id="another file"),
        # Of 500 huggingface_hub takes its time: it asks five times more.
        pytest.param({"tensors": TENSORS, "status": 403}, "403", id="an error"),
    ],
)
@pytest.mark.parametrize("digest", ["", sha256(TENSORS).hexdigest()], ids=["as the hub says", "known"])
def test_a_hubs_bad_answers_never_become_weights(
    server: Server, tmp_path: Path, answer: dict, why: str, digest: str
) -> None:
    publish(server, **answer)
    got = ask(server, tmp_path, digest)
    assert got["found"][0].startswith("MissingWeightsError: Some/model: not in")
    assert re.search(why, got["found"][0]), got["found"][0]
    publish(server, TENSORS)
    assert (Path(ask(server, tmp_path, digest)["found"][0]) / "model.safetensors").read_bytes() == TENSORS


@pytest.mark.integration
def test_a_damaged_file_in_the_hubs_cache_is_set_aside_and_fetched_again(hub: Server, tmp_path: Path) -> None:
    folder = Path(ask(hub, tmp_path)["found"][0])
    (folder / "model.safetensors").resolve().write_bytes(TENSORS[:-10])
    assert ask(hub, tmp_path)["found"] == [str(folder)]
    assert (folder / "model.safetensors").read_bytes() == TENSORS


@pytest.mark.integration
def test_a_mirror_that_sends_on_is_followed(hub: Server, tmp_path: Path) -> None:
    hub.body(
        f"/Some/model/resolve/{COMMIT}/model.safetensors",
        b"",
        status=302,
        Location=f"{hub.url}/cdn/blob".replace("127.0.0.1", "localhost"),
        X_Repo_Commit=COMMIT,
        X_Linked_Etag=f'"{sha256(TENSORS).hexdigest()}"',
        X_Linked_Size=str(len(TENSORS)),
    )
    hub.body("/cdn/blob", TENSORS)
    assert (Path(ask(hub, tmp_path)["found"][0]) / "model.safetensors").read_bytes() == TENSORS


@pytest.mark.integration
def test_a_whole_folder_of_yours_comes_first(hub: Server, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "Some" / "model"
    mine.mkdir(parents=True)
    (mine / "config.json").write_text("{}", encoding="utf-8")
    assert ask(hub, tmp_path)["found"] != [str(mine)], "without its tensors it is none"
    (mine / "model.safetensors").write_bytes(TENSORS)
    assert ask(hub, tmp_path)["found"] == [str(mine)]
    (mine / "model.safetensors").write_bytes(TENSORS[:-1])
    assert (
        f"{mine}: not the published Some/model (model.safetensors: it has" in ask(hub, tmp_path)["found"][0]
    )
