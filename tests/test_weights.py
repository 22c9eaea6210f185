import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gotowce_dagster import weights
from gotowce_dagster.errors import MissingWeightsError

CONTENT = b"0123456789" * 300_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The official home of yolo26n.pt, on loopback, and empty folders to look in."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "yolo26n.pt").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    at = replace(
        weights.WEIGHTS["yolo26n.pt"],
        url=f"http://127.0.0.1:{server.server_port}/yolo26n.pt",
        sha256=sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(weights.WEIGHTS, "yolo26n.pt", at)
    yield served
    server.shutdown()


def test_fetched_once_then_found(home: Path) -> None:
    told = []
    assert weights.reachable("yolo26n.pt")
    path = weights.require("yolo26n.pt", lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    (home / "yolo26n.pt").unlink()
    assert weights.require("yolo26n.pt") == path == weights.find("yolo26n.pt")


def test_a_folder_of_weights_is_fetched_whole_or_not_at_all(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(weights.WEIGHTS["yolo26n.pt"].url).removesuffix("/yolo26n.pt")
    at = weights.Weights("Some-hf", url, "Apache-2.0", files=("config.json", "yolo26n.pt"))
    monkeypatch.setitem(weights.WEIGHTS, "Some-hf", at)
    with pytest.raises(MissingWeightsError, match="Some-hf: not in"):
        weights.require("Some-hf")
    assert weights.find("Some-hf") is None and not weights.reachable("Some-hf")

    (home / "config.json").write_bytes(b"{}")
    assert weights.reachable("Some-hf")
    folder = weights.require("Some-hf")
    assert folder == weights.find("Some-hf")
    assert {file.name for file in folder.iterdir()} == {"config.json", "yolo26n.pt"}


def test_own_folder_comes_first(home: Path, tmp_path: Path) -> None:
    weights.require("yolo26n.pt")
    mine = tmp_path / "mine" / "yolo26n.pt"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert weights.require("yolo26n.pt") == mine


def test_damaged_file_is_not_kept(home: Path) -> None:
    (home / "yolo26n.pt").write_bytes(CONTENT[:-1])
    with pytest.raises(MissingWeightsError, match="SHA-256"):
        weights.require("yolo26n.pt")
    assert weights.find("yolo26n.pt") is None


@pytest.mark.parametrize("name", ["yolo26n.pt", "sam2_hiera_tiny_image.pt", "never_heard_of.pt"])
def test_missing_weights_say_where_and_how(home: Path, name: str, tmp_path: Path) -> None:
    (home / "yolo26n.pt").unlink()
    assert not weights.reachable(name)
    with pytest.raises(MissingWeightsError, match="GOTOWCE_WEIGHTS_DIR") as told:
        weights.require(name)
    assert name in str(told.value)
    assert str(tmp_path / "mine") in str(told.value)
