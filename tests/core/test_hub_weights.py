"""Weights of a hub come from its pinned commit, and bad responses never become weights."""

import http.server
import json
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.core.files_server import HTML, Server, safetensors

# A hub of ours, asked by a process of its own: huggingface_hub reads its variables when it is imported.
COMMIT = "0123456789abcdef0123456789abcdef01234567"


TENSORS = safetensors(500_000)


_ASK = """
import json, sys, time
time.sleep = lambda seconds: None  # huggingface_hub waits before it asks again
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
