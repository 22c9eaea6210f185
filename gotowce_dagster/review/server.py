"""Label Studio server of a project, in an isolated environment, for local access only.

uv installs the pinned release in an environment of its own, because its dependencies conflict with the
pipeline's. uv caches it, so a second start needs no network.
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
    read_secrets,
    server_folder,
    write_secrets,
)

RELEASE = "1.23.2"
EMAIL = "reviewer@gotowce.test"
HOST = "127.0.0.1"

# The first start creates the database: 33 to 86 s measured on two idle CPU cores, over 300 s on busy ones.
_START_S = 600
_STOP_S = 15

# Label Studio also reads settings from bare names such as HOST, PORT, DEBUG, USERNAME or PASSWORD, which mean
# something else in most shells. So it inherits these variables only, and those with _INHERITED_PREFIXES.
_INHERITED = frozenset(
    {
        "HOME", "LANG", "LANGUAGE", "PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "TEMP",
        "TMP", "TMPDIR", "TZ", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    }
)  # fmt: skip
_INHERITED_PREFIXES = ("LC_", "LABEL_STUDIO_", "DJANGO_DB", "POSTGRE_")


@dataclass(frozen=True)
class Server:
    """The project's running server."""

    connection: Connection
    email: str
    password: str
    process: subprocess.Popen


def find_uv(root: Path) -> Path:
    """Find the uv executable: the project's own, or the one on the PATH.

    Raises:
        GotowceError: There is none.
    """
    own = root / ".uv" / "bin" / "uv"
    found = own if own.exists() else shutil.which("uv")
    if found is None:
        raise GotowceError(
            f"uv, which installs Label Studio, is neither {own} nor on the PATH; run `make install`, or set "
            f"LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to use an existing server"
        )
    return Path(found)


def install(root: Path) -> Path:
    """Install the pinned release with uv if necessary; returns the label-studio executable.

    Raises:
        GotowceError: uv is missing or cannot install it; the message has the last lines of uv's output.
    """
    command = [
        *("tool", "run", "--python", sys.executable, "--from", f"label-studio=={RELEASE}"),
        *("python", "-c", "import sys; print(sys.executable)"),
    ]
    uv = find_uv(root)
    # Try uv's cache first: it needs no network and looks for no newer releases of dependencies.
    for offline in ("--offline", "--no-offline"):
        finished = subprocess.run([uv, offline, *command], capture_output=True, text=True, check=False)
        if finished.returncode == 0:
            return Path(finished.stdout.strip()).with_name("label-studio")
    raise GotowceError(
        f"uv cannot install label-studio {RELEASE}: {' '.join(finished.stderr.split())[-400:]}; "
        f"check the network"
    )


def environment(
    paths: Paths, secrets: Secrets, inherited: Mapping[str, str], assist: bool = False
) -> dict[str, str]:
    """Environment variables of the server; with ``assist`` it may call a backend on this machine.

    The database is SQLite, unless Label Studio's own variables select PostgreSQL (DJANGO_DB=default and
    POSTGRE_HOST, POSTGRE_PORT, POSTGRE_NAME, POSTGRE_USER, POSTGRE_PASSWORD). Other settings of Label Studio
    pass through under their full names, LABEL_STUDIO_..., unless we set them.
    """
    passed = {
        name: value
        for name, value in inherited.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    dead_proxy = "http://127.0.0.1:9"
    # Turn off its guard against requests to this machine, but keep blocking cloud metadata addresses.
    local_access = {
        "LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS": "false",
        "LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS": "169.254.0.0/16",
    }
    return (
        passed
        | (local_access if assist else {})
        | {
            "LABEL_STUDIO_BASE_DATA_DIR": str(server_folder(paths.root) / "data"),
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
            # Requests that no setting turns off (tips on the first page) go to a proxy that does not exist.
            "HTTP_PROXY": dead_proxy,
            "HTTPS_PROXY": dead_proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
        }
    )


@contextmanager
def running(
    paths: Paths, port: int = 8080, progress: Progress = silent, *, assist: bool = False
) -> Generator[Server]:
    """Run the project's server inside the block; it is stopped when the block ends, even by an error.

    Args:
        port: Port on 127.0.0.1.
        progress: Called with the seconds waited, and the maximum.
        assist: Allow calls to a backend on this machine (review/assist_server.py).

    Raises:
        InputError: The port is in use, or the database was created with another token.
        GotowceError: The server cannot be installed, exits, or does not respond in time.
    """
    secrets = read_secrets(paths.root) or Secrets(
        token=random.token_hex(20), email=EMAIL, password=random.token_urlsafe(12)
    )
    secrets = replace(secrets, url=f"http://{HOST}:{port}")
    _refuse_taken(port, Connection(secrets.url, secrets.token))
    program = install(paths.root)
    write_secrets(paths.root, secrets)
    log = server_folder(paths.root) / "server.log"
    command = [program, "start", "--no-browser", "--internal-host", HOST, "--port", str(port)]
    with log.open("wb") as output:
        # In its own session Ctrl-C does not reach it, and its child processes can be stopped with it.
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
            f"--port {port}: in use by another program; choose another port, or stop the process that "
            f"`ss -ltnp` shows"
        ) from None
    raise InputError(f"--port {port}: this project's Label Studio already runs at {connection.url}")


def _wait(process: subprocess.Popen, connection: Connection, log: Path, progress: Progress) -> None:
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _START_S:
        progress(int(waited), _START_S)
        if process.poll() is not None:
            raise GotowceError(f"Label Studio exited: {_last_lines(log)}")
        try:
            if httpx.get(f"{connection.url}/health", timeout=5).is_success:
                break
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    else:
        raise GotowceError(f"Label Studio did not respond within {_START_S} s: {_last_lines(log)}")
    # Label Studio takes the next free port if this one is in use: check that this server has our token.
    try:
        connect(connection)
    except ServerDownError:
        raise
    except InputError as error:
        raise InputError(
            f"{connection.url} rejects this project's token ({error}); its database was created with "
            f"another .labelstudio/server.json: restore that file, or create a token on the account page "
            f"and set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
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
    return f"{' / '.join(lines[-3:]) or 'no output'} (full log: {log})"
