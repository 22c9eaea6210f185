"""The review room's server: a real Label Studio in an environment of its own, for this machine alone.

uv installs the pinned release beside nothing of ours (its libraries and the pipeline's do not agree) and
keeps it in its cache, so a second start needs no network.
"""

import os
import secrets as random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.review.connection import (
    Connection,
    Secrets,
    ServerDownError,
    connect,
    home,
    read_secrets,
    write_secrets,
)

RELEASE = "1.23.2"
EMAIL = "reviewer@gotowce.test"
HOST = "127.0.0.1"

# The first start makes the database: 33 to 86 s measured on two processor cores, others may be slower.
_START_S = 300
_STOP_S = 15

# Label Studio takes settings also from bare names such as HOST, PORT, DEBUG, USERNAME or PASSWORD, which mean
# something else in most shells: only these reach it, and what begins like _MEANT.
_HARMLESS = frozenset(
    {
        "HOME", "LANG", "LANGUAGE", "PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "TEMP",
        "TMP", "TMPDIR", "TZ", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    }
)  # fmt: skip
_MEANT = ("LC_", "LABEL_STUDIO_", "DJANGO_DB", "POSTGRE_")


@dataclass(frozen=True)
class Server:
    """A running server of ours."""

    connection: Connection
    email: str
    password: str
    process: subprocess.Popen


def find_uv(root: Path) -> Path:
    """The program uv: the project's own, or the one on the PATH.

    Raises:
        GotowceError: there is none.
    """
    own = root / ".uv" / "bin" / "uv"
    found = own if own.exists() else shutil.which("uv")
    if found is None:
        raise GotowceError(
            f"uv, which installs Label Studio, is neither {own} nor on the PATH; run `make install`, or set "
            f"LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to use a server that runs elsewhere"
        )
    return Path(found)


def install(root: Path) -> Path:
    """The program label-studio of the pinned release, installed by uv if it is not yet.

    Raises:
        GotowceError: uv is missing or cannot install it; the message has uv's last lines.
    """
    command = [
        *("tool", "run", "--python", sys.executable, "--from", f"label-studio=={RELEASE}"),
        *("python", "-c", "import sys; print(sys.executable)"),
    ]
    uv = find_uv(root)
    # From its cache first: that needs no network and does not ask for newer releases of what it depends on.
    for offline in ("--offline", "--no-offline"):
        done = subprocess.run([uv, offline, *command], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return Path(done.stdout.strip()).with_name("label-studio")
    raise GotowceError(
        f"uv cannot install label-studio {RELEASE}: {' '.join(done.stderr.split())[-400:]}; check the network"
    )


def environment(
    paths: Paths, secrets: Secrets, inherited: Mapping[str, str], assist: bool = False
) -> dict[str, str]:
    """The variables the server is started with; with ``assist`` it may ask a backend on this machine.

    Its database is SQLite unless Label Studio's own variables say PostgreSQL (DJANGO_DB=default and
    POSTGRE_HOST, POSTGRE_PORT, POSTGRE_NAME, POSTGRE_USER, POSTGRE_PASSWORD); other settings of Label Studio
    come through under their full names, LABEL_STUDIO_..., unless they are ours.
    """
    passed = {
        name: value for name, value in inherited.items() if name in _HARMLESS or name.startswith(_MEANT)
    }
    nowhere = "http://127.0.0.1:9"
    # Its own guard against requests to this machine, less the addresses that clouds keep secrets at.
    reach = {
        "LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS": "false",
        "LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS": "169.254.0.0/16",
    }
    return (
        passed
        | (reach if assist else {})
        | {
            "LABEL_STUDIO_BASE_DATA_DIR": str(home(paths.root) / "data"),
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(paths.data),
            "LABEL_STUDIO_USERNAME": secrets.email,
            "LABEL_STUDIO_PASSWORD": secrets.password,
            "LABEL_STUDIO_USER_TOKEN": secrets.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_SENTRY_DSN": "",
            "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_LOG_LEVEL": "WARNING",
            # What has no switch (tips on the first page) meets a proxy that is not there.
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
        }
    )


@contextmanager
def running(
    paths: Paths, port: int = 8080, progress: Progress = silent, *, assist: bool = False
) -> Generator[Server]:
    """Run the project's server while the block lasts; at its end, however it comes, the server is stopped.

    Args:
        port: on 127.0.0.1.
        assist: let it ask a backend on this machine (review/assist.py).
        progress: told the seconds waited, and how many it will wait at most.

    Raises:
        InputError: the port is taken, or the database was made with another token.
        GotowceError: it cannot be installed, ends by itself or does not answer in time.
    """
    secrets = read_secrets(paths.root) or Secrets(
        token=random.token_hex(20), email=EMAIL, password=random.token_urlsafe(12)
    )
    secrets = replace(secrets, url=f"http://{HOST}:{port}")
    _refuse_taken(port, Connection(secrets.url, secrets.token))
    program = install(paths.root)
    write_secrets(paths.root, secrets)
    log = home(paths.root) / "server.log"
    command = [program, "start", "--no-browser", "--internal-host", HOST, "--port", str(port)]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches us alone, and what it starts can be ended with it.
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment(paths, secrets, os.environ, assist),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        connection = Connection(secrets.url, secrets.token)
        _wait(process, connection, log, progress)
        yield Server(connection, secrets.email, secrets.password, process)
    finally:
        _stop(process)


def _refuse_taken(port: int, connection: Connection) -> None:
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex((HOST, port)) != 0:
            return
    try:
        connect(connection)
    except GotowceError:
        raise InputError(
            f"--port {port}: another program has it; choose another one, or stop what `ss -ltnp` names"
        ) from None
    raise InputError(f"--port {port}: this project's Label Studio already runs at {connection.url}")


def _wait(process: subprocess.Popen, connection: Connection, log: Path, progress: Progress) -> None:
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _START_S:
        progress(int(waited), _START_S)
        if process.poll() is not None:
            raise GotowceError(f"Label Studio ended by itself: {_last_lines(log)}")
        try:
            if httpx.get(f"{connection.url}/health", timeout=5).is_success:
                break
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    else:
        raise GotowceError(f"Label Studio did not answer in {_START_S} s: {_last_lines(log)}")
    # It takes the next free port when its own is taken: what answers here must know our token.
    try:
        connect(connection)
    except ServerDownError:
        raise
    except InputError as error:
        raise InputError(
            f"{connection.url} does not know this project's token ({error}); its database was made with "
            f"another .labelstudio/server.json: put that file back, or make a token on its account page and "
            f"set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        ) from None
    progress(_START_S, _START_S)


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"{' / '.join(lines[-3:]) or 'it said nothing'} (all of it in {log})"
