"""Connection to Label Studio: the project's own server, or an existing one.

$LABEL_STUDIO_URL and $LABEL_STUDIO_API_KEY select an existing server. Without them, the server is the one
that `gotowce review serve` started; its address and token are in .labelstudio/server.json.
"""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.files import fresh_file, read_text

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

OLDEST = (1, 20)
"""The oldest release of Label Studio that supports bitmasks and the fields read here."""


class ServerDownError(GotowceError):
    """Label Studio does not respond. Nothing is lost: the command can be run again later."""


@dataclass(frozen=True)
class Connection:
    """Address of a Label Studio server, and the token to use."""

    url: str
    token: str
    """A legacy token or a personal access token."""


@dataclass(frozen=True)
class Secrets:
    """Credentials that our own server generates on its first start and stores in its database."""

    token: str
    email: str
    password: str
    url: str = ""
    """Address at its last start."""


@dataclass(frozen=True)
class Room:
    """A connected Label Studio server."""

    client: "LabelStudio"
    url: str


def server_folder(root: Path) -> Path:
    """The folder of a project's own server: secrets, database and log. Not in git."""
    return root / ".labelstudio"


def read_secrets(root: Path) -> Secrets | None:
    """Read the secrets of the project's own server; None before its first start.

    Raises:
        InputError: The file is damaged.
    """
    file = server_folder(root) / "server.json"
    if not file.exists():
        return None
    try:
        return Secrets(**json.loads(read_text(file)))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file}: damaged ({error}); restore a copy of it, or move {file.parent} away to start over"
        ) from None


def write_secrets(root: Path, secrets: Secrets) -> None:
    """Write secrets to a file that only this user can read."""
    folder = server_folder(root)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        fresh_file(folder / "server.json") as new,
        os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file,
    ):
        json.dump(asdict(secrets), file)


def find(root: Path) -> Connection:
    """Find the server to use.

    Raises:
        InputError: Only one of the two variables is set.
        ServerDownError: The project has never started a server.
    """
    url, token = (os.environ.get(f"LABEL_STUDIO_{name}", "") for name in ("URL", "API_KEY"))
    if bool(url) != bool(token):
        raise InputError(
            "set both LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or neither for the project's own server"
        )
    if url:
        return Connection(url.rstrip("/"), token)
    secrets = read_secrets(root)
    if secrets is None or not secrets.url:
        raise ServerDownError("this project has no Label Studio yet; start it with `gotowce review serve`")
    return Connection(secrets.url, secrets.token)


def connect(connection: Connection, timeout_s: float = 10) -> Room:
    """Connect to a server, and check its token and its release.

    Args:
        timeout_s: For the server's first answer.

    Raises:
        ServerDownError: The server does not respond.
        InputError: It is not Label Studio, the token is wrong, or the release is too old.
    """
    import httpx
    from label_studio_sdk import LabelStudio

    url = connection.url
    try:
        response = httpx.get(f"{url}/api/version", timeout=timeout_s)
        release = str(response.json()["release"]) if response.is_success else ""
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InputError(
            f"LABEL_STUDIO_URL: {url} is not a valid URL ({error}); expected http://HOST:PORT"
        ) from None
    except httpx.HTTPError as error:
        raise ServerDownError(
            f"Label Studio does not respond at {url} ({error}); start it with `gotowce review serve`, "
            f"or set LABEL_STUDIO_URL to its address"
        ) from None
    except (ValueError, KeyError, TypeError):
        release = ""
    if not release:
        raise InputError(f"{url}: not a Label Studio server; correct LABEL_STUDIO_URL")
    numbers = tuple(int(part) for part in release.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise InputError(f"{url}: Label Studio {release} is too old; {oldest} or newer is needed")
    client = LabelStudio(base_url=url, api_key=connection.token, timeout=300)
    with plain_errors(url):
        client.users.whoami()
    return Room(client, url)


@contextmanager
def plain_errors(url: str) -> Generator[None]:
    """Convert errors of Label Studio and of the network to one-sentence errors.

    Raises:
        ServerDownError: The server stopped responding, or failed internally.
        InputError: It rejected the request.
    """
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except httpx.HTTPError as error:
        raise ServerDownError(
            f"Label Studio at {url} stopped responding ({type(error).__name__}); finished work is kept, "
            f"run the command again once the server is up"
        ) from error
    except ApiError as error:
        code = error.status_code or 0
        if code == 401:
            raise InputError(
                f"{url}: Label Studio rejects the token; set LABEL_STUDIO_API_KEY to the one on your account "
                f"page, or unset it to use the server of `gotowce review serve`"
            ) from error
        body = error.body if isinstance(error.body, dict) else {"detail": error.body}
        detail = body.get("validation_errors") or body.get("detail") or body
        if code >= 500:
            raise ServerDownError(f"Label Studio at {url} failed ({code}: {str(detail)[:300]})") from error
        raise InputError(f"{url}: Label Studio rejects the request ({code}: {str(detail)[:300]})") from error
