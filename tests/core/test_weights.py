from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.diagnosis import checks
from tests.core.files_server import CONTENT, HTML, Server, archive


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
