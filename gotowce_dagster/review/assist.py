"""Interactive segmentation: a local ML backend for Label Studio that turns clicks into masks.

Label Studio's own backend package, label-studio-ml, no longer starts. The protocol is four small requests:
/health, /setup, /predict and /webhook. Images are read from the project's frames and never fetched.

Other programs and users of the machine can reach a loopback port, and so can a web page in the reviewer's
browser. Every request must therefore send the session's token as the password of HTTP basic authentication.
Label Studio stores it with the backend and sends it along. Bodies must be JSON of bounded size and depth.
"""

import base64
import binascii
import json
import logging
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.tables import DETECTIONS, read_table
from gotowce_dagster.labels.reviews import ReviewedObject
from gotowce_dagster.review.config import MaskForm, mask_form, with_smart_tools, without_smart_tools
from gotowce_dagster.review.connection import Room, plain_errors
from gotowce_dagster.review.regions import Size, pixel_box, regions
from gotowce_dagster.review.room import find_project
from gotowce_dagster.segmenters.base import Interactive
from gotowce_dagster.segmenters.clicks import Clicker
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.segmenters.registry import build_segmenter

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

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


def build_model(engine: str, project: Project) -> Interactive:
    """Build the segmenter that answers clicks.

    Raises:
        InputError: The segmenter does not exist or does not accept clicks.
        MissingWeightsError: Its weights are missing.
    """
    model = build_segmenter(engine, project.params.masks)
    if not isinstance(model, Interactive):
        raise InputError(
            f"{engine} does not accept clicks; choose a segmenter that does with --engine, for example "
            f"mobile_sam:mobile_sam.pt"
        )
    return model


class Assistant:
    """Answers reviewers' clicks with masks, one request at a time."""

    def __init__(self, project: Project, model: Interactive) -> None:
        params = project.params
        self.version = f"{model.name}:{model.weights}" if model.weights else model.name
        self._paths = project.paths
        self._polygon_px = params.review.tasks.polygon_px
        self._clicker = Clicker(model, params.masks, params.review.assist)
        self._lock = threading.Lock()

    def predict(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Predict masks for a /predict request: one result per task, empty without clicks.

        Raises:
            InputError: The image is not a frame of the project, or the prompt is invalid.
        """
        context = (body.get("params") or {}).get("context") or {}
        prompts = context.get("result") or []
        form = mask_form(body["label_config"]) if prompts else "bitmask"
        answers = []
        for task in body["tasks"]:
            predicted: list[dict[str, Any]] = []
            if prompts:
                with self._lock:
                    predicted = self._regions(task["data"], prompts, form)
            score = max((region["score"] for region in predicted), default=0.0)
            answers.append({"result": predicted, "score": score, "model_version": self.version})
        return answers

    def _regions(self, data: Mapping[str, Any], prompts: list[Any], form: MaskForm) -> list[dict[str, Any]]:
        file = frame_file(self._paths, str(data["image"]))
        image = _image(file, file.stat().st_mtime_ns)
        size = Size(*image.shape[1::-1])
        prompt, class_name = prompt_of(prompts, size)
        designators = _designators(self._paths, str(data.get("video")), data.get("frame_index"))
        try:
            predicted = self._clicker.mask((file, file.stat().st_mtime_ns), image, prompt, designators)
        except ValueError as error:
            raise InputError(str(error)) from None
        if predicted is None or not predicted.mask.any():
            return []
        score = 0.0 if np.isnan(predicted.predicted_iou) else float(np.clip(predicted.predicted_iou, 0, 1))
        x, y, width, height = cv2.boundingRect(predicted.mask.astype(np.uint8))
        box = (float(x), float(y), float(x + width), float(y + height))
        thing = ReviewedObject(class_name=class_name, box=box, rle=rle.encode(predicted.mask))
        drawn = regions([(thing, score)], size, form, self._polygon_px)
        return [piece | {"id": uuid.uuid4().hex[:10]} for piece in drawn if piece["from_name"] == "mask"]


def prompt_of(prompts: list[Mapping[str, Any]], size: Size) -> tuple[Prompt, str]:
    """Convert the regions of a request to a prompt in pixels, and the class of its mask.

    The prompt has all clicks and the last box. The class is the last region's.

    Raises:
        InputError: There is neither a click nor a box, or no class was chosen.
    """
    points, labels, box, class_name = [], [], None, ""
    for region in prompts:
        kind, value = region["type"], region["value"]
        if kind == "keypointlabels":
            # A click on the far edge of the last pixel belongs to that pixel.
            x = min(value["x"] / 100 * size.width, size.width - 0.5)
            y = min(value["y"] / 100 * size.height, size.height - 0.5)
            points.append((x, y))
            labels.append(int(bool(region.get("is_positive", True))))
        elif kind == "rectanglelabels":
            box = np.array(pixel_box(value, size))
        else:
            continue
        class_name = next(iter(value.get(kind) or []), class_name)
    if not points and box is None:
        raise InputError("the request has neither a click nor a box")
    if not class_name:
        raise InputError("choose a class before clicking; the mask gets that class")
    if not points:
        return Prompt(box=box), class_name
    return Prompt(np.array(points, float), np.array(labels, int), box), class_name


def frame_file(paths: Paths, url: str) -> Path:
    """The frame file that a task shows, below data/frames.

    Raises:
        InputError: The URL is not a file there. Nothing else is read, and nothing is fetched.
    """
    parts = urlsplit(url)
    is_served = not parts.scheme and not parts.netloc and parts.path == "/data/local-files/"
    file = paths.data / parse_qs(parts.query).get("d", [""])[0]
    # Check the name, not the resolved path: the file may be a link into DVC's cache.
    lies_below = ".." not in file.parts and file.is_relative_to(paths.data / "frames")
    if not (is_served and lies_below and file.is_file()):
        raise InputError(
            f"{url}: not a frame in {paths.data / 'frames'}; masks are predicted for those frames only"
        )
    return file


@lru_cache(maxsize=4)
def _image(file: Path, changed_ns: int) -> np.ndarray:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{file}: not a readable image; extract the frames again")
    return np.ascontiguousarray(image[..., ::-1])


def _designators(paths: Paths, video: str, frame_index: Any) -> np.ndarray:
    """Designators detected in a frame, xyxy float (n, 4); empty where no detector ran."""
    file = paths.detections(video)
    if Path(video).name != video or not file.exists():
        return np.empty((0, 4))
    rows = _detections(file, file.stat().st_mtime_ns)
    return xyxy(rows[rows["frame_index"] == frame_index])


@lru_cache(maxsize=4)
def _detections(file: Path, changed_ns: int) -> Any:
    return read_table(file, DETECTIONS)


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


@contextmanager
def registered(room: Room, title: str, url: str, token: str) -> Generator[str]:
    """Register the backend with a project inside the block, and restore the project's page afterwards.

    Args:
        title: Title of the project in Label Studio.
        url: Address of the backend.
        token: Token of the session; Label Studio stores it as the backend's password.

    Yields:
        The URL of the project's page.

    Raises:
        InputError: There is no such project, or Label Studio may not reach this machine.
        ServerDownError: Label Studio stopped responding.
    """
    with plain_errors(room.url):
        project = find_project(room.client, title)
        if project is None:
            raise InputError(f"Label Studio has no project {title!r}; create it with `gotowce review push`")
    try:
        with plain_errors(room.url):
            _unregister(room.client, project.id)
            _register(room.client, project.id, url, token)
            room.client.projects.update(project.id, label_config=with_smart_tools(project.label_config))
        yield f"{room.url}/projects/{project.id}"
    finally:
        # A server that is down cannot be cleaned up; the next start does it.
        try:
            with plain_errors(room.url):
                if left := find_project(room.client, title):
                    _unregister(room.client, left.id)
                    room.client.projects.update(left.id, label_config=without_smart_tools(left.label_config))
        except GotowceError as error:
            logging.getLogger(__name__).warning("the click tools stay on the page: %s", error)


def _register(client: "LabelStudio", project: int, url: str, token: str) -> None:
    from label_studio_sdk.core.api_error import ApiError

    try:
        client.ml.create(
            project=project,
            url=url,
            title=TITLE,
            is_interactive=True,
            auth_method="BASIC_AUTH",
            basic_auth_user=TITLE,
            basic_auth_pass=token,
        )
    except ApiError as error:
        if "reserved" not in json.dumps(error.body, default=str):
            raise
        raise InputError(
            f"this Label Studio may not call {url}; start it with `gotowce review serve --assist`, or with "
            f"LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false and "
            f"LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS=169.254.0.0/16"
        ) from error
    finally:
        _drop_webhooks(client, project)


def _drop_webhooks(client: "LabelStudio", project: int) -> None:
    """Delete the webhook Label Studio adds to a backend: every submit would wait for it, and we ignore it."""
    for hook in client.webhooks.list(project=project):
        if hook.id is not None and hook.url.startswith(f"http://{HOST}:") and hook.url.endswith("/webhook"):
            client.webhooks.delete(hook.id)


def _unregister(client: "LabelStudio", project: int) -> None:
    for backend in client.ml.list(project=project):
        if backend.title == TITLE and backend.id is not None:
            client.ml.delete(backend.id)
