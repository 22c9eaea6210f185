import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from gotowce_dagster.cli.review.serve import serve
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.review.connection import Secrets, server_folder
from gotowce_dagster.review.server import environment, find_uv, running
from tests.review.conftest import Running, free_port

_SECRETS = Secrets(token="t" * 40, email="a@b.test", password="secret")


def test_only_variables_for_label_studio_are_inherited(tmp_path: Path) -> None:
    accidents = dict.fromkeys(("HOST", "PORT", "DEBUG", "USERNAME", "PASSWORD", "HEARTEX_DEBUG", "CI"), "x")
    meant = {
        "DJANGO_DB": "default",
        "POSTGRE_HOST": "db",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "true",
        "LABEL_STUDIO_LANGUAGE": "pl",
        "HTTPS_PROXY": "http://proxy",
    }
    given = environment(Paths(tmp_path), _SECRETS, os.environ | accidents | meant)
    assert not set(accidents) & set(given)
    assert given["PATH"] == os.environ["PATH"]
    assert (given["DJANGO_DB"], given["POSTGRE_HOST"]) == ("default", "db")
    assert given["LABEL_STUDIO_LANGUAGE"] == "pl"
    assert given["LABEL_STUDIO_COLLECT_ANALYTICS"] == "false"
    assert given["HTTPS_PROXY"] != "http://proxy"
    assert given["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(tmp_path / "data")


def test_missing_uv_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GotowceError, match=r"make install.*LABEL_STUDIO_URL"):
        find_uv(tmp_path)
    own = tmp_path / ".uv" / "bin" / "uv"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_uv(tmp_path) == own


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as other:
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        port = other.server_address[1]
        with (
            pytest.raises(InputError, match=f"--port {port}: in use by another program"),
            running(Paths(tmp_path), port),
        ):
            pytest.fail("it must not start")
        other.shutdown()
    assert not server_folder(tmp_path).exists()


def test_with_an_existing_server_none_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "https://labels.example")
    with pytest.raises(InputError, match=r"LABEL_STUDIO_URL is set to https://labels.example"):
        serve()


@pytest.mark.integration
def test_it_listens_on_loopback_only_and_is_not_started_twice(label_studio: Running) -> None:
    port = int(label_studio.server.connection.url.rpartition(":")[2])
    process = psutil.Process(label_studio.server.process.pid)
    owners = [process, *process.children(recursive=True)]
    listening = {c.laddr.ip for p in owners for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    with (
        pytest.raises(InputError, match="this project's Label Studio already runs"),
        running(Paths(label_studio.root), port),
    ):
        pytest.fail("it must not start")


@pytest.mark.integration
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_exits_with_its_server(
    label_studio: Running, tmp_path: Path, how: signal.Signals
) -> None:
    """A second server with the same database: a restart with the old secrets works too."""
    port = free_port()
    command = [sys.executable, "-m", "gotowce_dagster.cli.main", "review", "serve", "--port", str(port)]
    environment = os.environ | {"GOTOWCE_ROOT": str(label_studio.root), "DEBUG": "nonsense"}
    (label_studio.root / "params.yaml").touch()
    with (tmp_path / "out").open("wb") as out:
        started = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(tmp_path / "out", f"http://127.0.0.1:{port}", started)
        (server,) = psutil.Process(started.pid).children()
        started.send_signal(how)
        assert started.wait(60) == 0
        assert not server.is_running()
    finally:
        if started.poll() is None:
            started.kill()
    output = (tmp_path / "out").read_text()
    assert label_studio.server.password in output
    assert "Traceback" not in output


def _wait_for(file: Path, words: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + 180
    while words not in file.read_text():
        assert process.poll() is None, file.read_text()
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.3)
