"""The server of interactive segmentation: a local ML backend for Label Studio (assist.py computes the masks).

Label Studio's own backend package, label-studio-ml, no longer starts. The protocol is four small requests:
/health, /setup, /predict and /webhook.

Other programs and users of the machine can reach a loopback port, and so can a web page in the reviewer's
browser. Every request must therefore send the session's token as the password of HTTP basic authentication.
Label Studio stores it with the backend and sends it along. Bodies must be JSON of bounded size and depth.
"""

import base64
import binascii
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.review.assist import Assistant

HOST = "127.0.0.1"
TITLE = "gotowce"

_STOP_S = 10.0
_START_S = 30.0

BODY_BYTES = 4_000_000
"""Maximum size of a request body. A frame's clicks and regions need less: a 4K bitmask is below 100 kB."""
DEPTH = 32
"""Maximum nesting of a request body. Label Studio's requests nest eight deep."""

Log = Callable[[str], None]


class RefusedError(Exception):
    """A rejected request, with its HTTP status and the reason in one sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def new_token() -> str:
    """Create the password of one session, which this process shares with Label Studio only."""
    return secrets.token_urlsafe(32)


class _TokenMiddleware:
    """Rejects requests without the session's token with 401, before reading their body."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or secrets.compare_digest(_password(headers), self._token):
            await self._app(scope, receive, send)
            return
        why = "wrong or missing token: `gotowce review assist` registers the token with Label Studio itself"
        refusal = JSONResponse({"detail": why}, 401, {"WWW-Authenticate": f"Basic realm={TITLE}"})
        await refusal(scope, receive, send)


def _password(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    try:
        user, _, password = base64.b64decode(credentials, validate=True).partition(b":")
    except binascii.Error:
        return b""
    return password if scheme.lower() == b"basic" and user == TITLE.encode() else b""


async def _read_json(request: Request) -> Any:
    """Read a request's JSON body, of bounded size and depth.

    Raises:
        RefusedError: The body is not JSON (415, 400), too large or too deeply nested (413).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, f"expected application/json, not {kind or 'a body without a content type'}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise RefusedError(413, f"the request body exceeds {BODY_BYTES} bytes")
    if _depth(bytes(body)) > DEPTH:
        raise RefusedError(413, f"the request body nests deeper than {DEPTH} levels")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"not JSON ({error})") from None


def _depth(body: bytes) -> int:
    """Nesting depth of brackets outside quoted text, counted before a parser reads them."""
    deepest = depth = 0
    in_text = escaped = False
    for byte in body:
        if in_text:
            if escaped:
                escaped = False
            elif byte == ord("\\"):
                escaped = True
            elif byte == ord('"'):
                in_text = False
        elif byte == ord('"'):
            in_text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def application(assistant: Assistant, log: Log, token: str) -> Starlette:
    """The backend as a web application; it accepts requests to this machine's loopback names only.

    Args:
        log: Called with one line per response. It never gets other contents of a request, because /setup
            contains a token.
        token: Required in every request; see new_token.
    """

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "UP", "model_class": TITLE})

    async def setup(request: Request) -> JSONResponse:
        await _read_json(request)
        return JSONResponse({"model_version": assistant.version})

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RefusedError)
        log(f"refused: {error}")
        return JSONResponse({"error": str(error), "detail": str(error)}, status_code=error.status)

    async def predict(request: Request) -> JSONResponse:
        began = time.perf_counter()
        body = await _read_json(request)
        try:
            results = await run_in_threadpool(assistant.predict, body)
        except InputError as error:
            problem = str(error)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            problem = f"not a request from Label Studio ({type(error).__name__}: {error})"
        else:
            has_mask = any(result["result"] for result in results)
            log(f"{'a mask' if has_mask else 'no mask'} in {time.perf_counter() - began:.2f} s")
            return JSONResponse({"results": results})
        log(f"refused: {problem}")
        return JSONResponse({"error": problem, "detail": problem}, status_code=400)

    async def webhook(request: Request) -> JSONResponse:
        await _read_json(request)
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/", health),
            Route("/health", health),
            Route("/setup", setup, methods=["POST"]),
            Route("/predict", predict, methods=["POST"]),
            Route("/webhook", webhook, methods=["POST"]),
        ],
        # Keep pages in the reviewer's browser from reaching it under another host name (DNS rebinding).
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(_TokenMiddleware, token=token),
        ],
        exception_handlers={RefusedError: refused},
    )


@contextmanager
def serving(app: Starlette, port: int) -> Generator[str]:
    """Serve the application on 127.0.0.1 inside the block, and yield its URL.

    Args:
        port: 0 takes any free port.

    Raises:
        InputError: The port is not available.
        GotowceError: The backend does not start.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise InputError(
            f"--port {port}: not available ({error.strerror}); choose another port, or stop the process "
            f"that `ss -ltnp` shows"
        ) from None
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + _START_S
    try:
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise GotowceError("the backend did not start")
            time.sleep(0.02)
        yield f"http://{HOST}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        listening.close()
