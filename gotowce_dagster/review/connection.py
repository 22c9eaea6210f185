"""How to reach Label Studio: the server this project started, or one that somebody already runs.

$LABEL_STUDIO_URL and $LABEL_STUDIO_API_KEY name a server of yours. Without them it is the one that
`gotowce review serve` started; its address and token lie in .labelstudio/server.json.
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
"""The oldest release of Label Studio that knows bitmasks and the fields read here."""


class ServerDownError(GotowceError):
    """Label Studio does not answer. Nothing is lost: what was asked can be asked again later."""


@dataclass(frozen=True)
class Connection:
    """Where Label Studio answers, and who asks."""

    url: str
    token: str
    """A legacy token or a personal access token, either will do."""


@dataclass(frozen=True)
class Secrets:
    """What the first start of a server of ours makes up; its database knows them from then on."""

    token: str
    email: str
    password: str
    url: str = ""
    """Where it was last started."""


@dataclass(frozen=True)
class Room:
    """A Label Studio that answers."""

    client: "LabelStudio"
    url: str


def home(root: Path) -> Path:
    """Where a project keeps its server: secrets, database and log. Not in git."""
    return root / ".labelstudio"


def read_secrets(root: Path) -> Secrets | None:
    """The secrets of the project's own server, or None before its first start.

    Raises:
        InputError: the file is damaged.
    """
    file = home(root) / "server.json"
    if not file.exists():
        return None
    try:
        return Secrets(**json.loads(read_text(file)))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file}: damaged ({error}); put back a copy of it, or move {file.parent} away to begin anew"
        ) from None


def write_secrets(root: Path, secrets: Secrets) -> None:
    """Keep secrets where only this user can read them."""
    folder = home(root)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        fresh_file(folder / "server.json") as new,
        os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file,
    ):
        json.dump(asdict(secrets), file)


def find(root: Path) -> Connection:
    """The server to use.

    Raises:
        InputError: one of the two variables is set without the other.
        ServerDownError: there has never been a server here.
    """
    url, token = (os.environ.get(f"LABEL_STUDIO_{name}", "") for name in ("URL", "API_KEY"))
    if bool(url) != bool(token):
        raise InputError("set both LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or neither for our own server")
    if url:
        return Connection(url.rstrip("/"), token)
    secrets = read_secrets(root)
    if secrets is None or not secrets.url:
        raise ServerDownError("no Label Studio was started here yet; start it with `gotowce review serve`")
    return Connection(secrets.url, secrets.token)


def connect(connection: Connection) -> Room:
    """Reach a server that answers, knows the token and is new enough.

    Raises:
        ServerDownError: nobody answers.
        InputError: something else answers, the token is wrong, or the release is too old.
    """
    import httpx
    from label_studio_sdk import LabelStudio

    url = connection.url
    try:
        answer = httpx.get(f"{url}/api/version", timeout=10)
        release = str(answer.json()["release"]) if answer.is_success else ""
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InputError(
            f"LABEL_STUDIO_URL: {url} is no address ({error}); expected http://HOST:PORT"
        ) from None
    except httpx.HTTPError as error:
        raise ServerDownError(
            f"Label Studio does not answer at {url} ({error}); start it with `gotowce review serve`, "
            f"or set LABEL_STUDIO_URL to where it runs"
        ) from None
    except (ValueError, KeyError, TypeError):
        release = ""
    if not release:
        raise InputError(f"{url}: something else than Label Studio answers there; set LABEL_STUDIO_URL right")
    numbers = tuple(int(part) for part in release.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise InputError(f"{url}: Label Studio {release} is too old; {wanted} or newer is needed")
    client = LabelStudio(base_url=url, api_key=connection.token, timeout=300)
    with plain_errors(url):
        client.users.whoami()
    return Room(client, url)


@contextmanager
def plain_errors(url: str) -> Generator[None]:
    """Say what Label Studio or the network refuses in one sentence.

    Raises:
        ServerDownError: the server went away, or fails by itself.
        InputError: it refuses what it was asked.
    """
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except httpx.HTTPError as error:
        raise ServerDownError(
            f"Label Studio at {url} stopped answering ({type(error).__name__}); what was done is kept, "
            f"run the command again once it is up"
        ) from error
    except ApiError as error:
        code = error.status_code or 0
        if code == 401:
            raise InputError(
                f"{url}: Label Studio refuses the token; set LABEL_STUDIO_API_KEY to the one of your account "
                f"page, or remove it to use the server of `gotowce review serve`"
            ) from error
        body = error.body if isinstance(error.body, dict) else {"detail": error.body}
        detail = body.get("validation_errors") or body.get("detail") or body
        if code >= 500:
            raise ServerDownError(f"Label Studio at {url} failed ({code}: {str(detail)[:300]})") from error
        raise InputError(f"{url}: Label Studio refuses it ({code}: {str(detail)[:300]})") from error
