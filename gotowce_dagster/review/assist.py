"""Click to mask: an ML backend of Label Studio, on this machine only, that answers clicks with masks.

Label Studio's own package for backends, label-studio-ml, does not start any more. The protocol is four small
requests: /health, /setup, /predict and /webhook. Pictures are read from the project's frames, never fetched.

Other programs and users of the machine can reach a loopback port, and so can a web page in the reviewer's
browser. So every request must carry the token of this session, as the password of HTTP's basic
authentication, which Label Studio keeps with the backend and sends along; bodies must be JSON, small and
shallow.
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
_NO_BOX = (0.0, 0.0, 0.0, 0.0)
_SIDES = ["x1", "y1", "x2", "y2"]

BODY_BYTES = 4_000_000
"""More than a frame's clicks and regions take: a bitmask of 4K is below 100 kB."""
DEPTH = 32
"""Label Studio's requests nest eight deep."""

Told = Callable[[str], None]


class RefusedError(Exception):
    """A request that is not read further; with the HTTP status and a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def new_token() -> str:
    """The password of one session; known to this process and to Label Studio."""
    return secrets.token_urlsafe(32)


class _TokenMiddleware:
    """Answers 401 to whoever does not know the session's token, before anything of the request is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or secrets.compare_digest(_password(headers), self._token):
            await self._app(scope, receive, send)
            return
        why = "not for you: `gotowce review assist` registers itself with Label Studio, which knows the token"
        refusal = JSONResponse({"detail": why}, 401, {"WWW-Authenticate": f"Basic realm={TITLE}"})
        await refusal(scope, receive, send)


def _password(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, told = headers.get(b"authorization", b"").partition(b" ")
    try:
        user, _, password = base64.b64decode(told, validate=True).partition(b":")
    except binascii.Error:
        return b""
    return password if scheme.lower() == b"basic" and user == TITLE.encode() else b""


async def _read_json(request: Request) -> Any:
    """The JSON of a request, of bounded size and depth.

    Raises:
        RefusedError: it is no JSON (415, 400), too large or too deep (413).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, f"expected application/json, not {kind or 'a body without a type'}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise RefusedError(413, f"a request may have {BODY_BYTES} bytes at most")
    if _depth(bytes(body)) > DEPTH:
        raise RefusedError(413, f"a request may nest {DEPTH} deep at most")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"not JSON ({error})") from None


def _depth(body: bytes) -> int:
    """How deep brackets nest, text in quotes apart; counted before a parser sees them."""
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
    """The segmenter that answers clicks.

    Raises:
        InputError: it cannot be asked by clicks, or there is no such segmenter.
        MissingWeightsError: its weights are not here.
    """
    model = build_segmenter(engine, project.params.masks)
    if not isinstance(model, Interactive):
        raise InputError(
            f"{engine} cannot be asked by clicks; name one that can with --engine, for instance "
            f"mobile_sam:mobile_sam.pt"
        )
    return model


class Assistant:
    """Answers what reviewers point at, one after the other."""

    def __init__(self, project: Project, model: Interactive) -> None:
        params = project.params
        self.version = f"{model.name}:{model.weights}" if model.weights else model.name
        self._paths = project.paths
        self._polygon_px = params.review.tasks.polygon_px
        self._clicker = Clicker(model, params.masks, params.review.assist)
        self._alone = threading.Lock()

    def predict(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The results of a /predict request: one for each task, empty without clicks.

        Raises:
            InputError: the picture is none of the project's frames, or the clicks cannot be answered.
        """
        context = (body.get("params") or {}).get("context") or {}
        told = context.get("result") or []
        form = mask_form(body["label_config"]) if told else "bitmask"
        answers = []
        for task in body["tasks"]:
            found: list[dict[str, Any]] = []
            if told:
                with self._alone:
                    found = self._regions(task["data"], told, form)
            score = max((region["score"] for region in found), default=0.0)
            answers.append({"result": found, "score": score, "model_version": self.version})
        return answers

    def _regions(self, data: Mapping[str, Any], told: list[Any], form: MaskForm) -> list[dict[str, Any]]:
        file = frame_file(self._paths, str(data["image"]))
        image = _picture(file, file.stat().st_mtime_ns)
        size = Size(*image.shape[1::-1])
        asked, class_name = prompt_of(told, size)
        designators = _designators(self._paths, str(data.get("video")), data.get("frame_index"))
        try:
            found = self._clicker.mask((file, file.stat().st_mtime_ns), image, asked, designators)
        except ValueError as error:
            raise InputError(str(error)) from None
        if found is None:
            return []
        score = 0.0 if np.isnan(found.predicted_iou) else float(np.clip(found.predicted_iou, 0, 1))
        thing = ReviewedObject(class_name=class_name, box=_NO_BOX, rle=rle.encode(found.mask))
        drawn = regions([(thing, score)], size, form, self._polygon_px)
        return [piece | {"id": uuid.uuid4().hex[:10]} for piece in drawn if piece["from_name"] == "mask"]


def prompt_of(told: list[Mapping[str, Any]], size: Size) -> tuple[Prompt, str]:
    """What the regions of a request ask for, in pixels, and the class it is to have.

    All clicks count, and the last box; the class is the last region's.

    Raises:
        InputError: there is neither a click nor a box, or one without a class.
    """
    points, labels, box, class_name = [], [], None, ""
    for region in told:
        kind, value = region["type"], region["value"]
        if kind == "keypointlabels":
            # A click on the last pixel's far edge is on it.
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
        raise InputError("there is neither a click nor a box in what was asked")
    if not class_name:
        raise InputError("choose a class before the click, so that the mask can have it")
    if not points:
        return Prompt(box=box), class_name
    return Prompt(np.array(points, float), np.array(labels, int), box), class_name


def frame_file(paths: Paths, url: str) -> Path:
    """The frame that a task shows, below data/frames.

    Raises:
        InputError: it is no file there; nothing else is read, and nothing is fetched.
    """
    parts = urlsplit(url)
    is_served = not parts.scheme and not parts.netloc and parts.path == "/data/local-files/"
    file = paths.data / parse_qs(parts.query).get("d", [""])[0]
    # Judged by its name: what it holds may be a link into DVC's cache.
    lies_below = ".." not in file.parts and file.is_relative_to(paths.data / "frames")
    if not (is_served and lies_below and file.is_file()):
        raise InputError(
            f"{url}: none of the frames in {paths.data / 'frames'}; masks are made for those only"
        )
    return file


@lru_cache(maxsize=4)
def _picture(file: Path, changed_ns: int) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{file}: not a readable picture; extract the frames again")
    return np.ascontiguousarray(picture[..., ::-1])


def _designators(paths: Paths, video: str, frame_index: Any) -> np.ndarray:
    """xyxy float (n, 4) of the designators found in a frame; none where nobody looked for them."""
    file = paths.detections(video)
    if Path(video).name != video or not file.exists():
        return np.empty((0, 4))
    rows = _detections(file, file.stat().st_mtime_ns)
    return rows.loc[rows["frame_index"] == frame_index, _SIDES].to_numpy(float)


@lru_cache(maxsize=4)
def _detections(file: Path, changed_ns: int) -> Any:
    return read_table(file, DETECTIONS)


def application(assistant: Assistant, tell: Told, token: str) -> Starlette:
    """The backend as a web application, for requests that name this machine by its loopback name only.

    Args:
        token: that every request must carry; see new_token.
        tell: is told a line for every answer; never anything that the requests bear besides clicks, for
            /setup bears a token.
    """

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "UP", "model_class": TITLE})

    async def setup(request: Request) -> JSONResponse:
        await _read_json(request)
        return JSONResponse({"model_version": assistant.version})

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RefusedError)
        tell(f"refused: {error}")
        return JSONResponse({"error": str(error), "detail": str(error)}, status_code=error.status)

    async def predict(request: Request) -> JSONResponse:
        began = time.perf_counter()
        body = await _read_json(request)
        try:
            results = await run_in_threadpool(assistant.predict, body)
        except InputError as error:
            problem = str(error)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            problem = f"not a request of Label Studio's ({type(error).__name__}: {error})"
        else:
            found = any(result["result"] for result in results)
            tell(f"{'a mask' if found else 'no mask'} in {time.perf_counter() - began:.2f} s")
            return JSONResponse({"results": results})
        tell(f"refused: {problem}")
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
        # A page in the reviewer's browser may not reach it under a name of its own (DNS rebinding).
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(_TokenMiddleware, token=token),
        ],
        exception_handlers={RefusedError: refused},
    )


@contextmanager
def serving(app: Starlette, port: int) -> Generator[str]:
    """Answer on 127.0.0.1 while the block lasts; gives the address.

    Args:
        port: 0 takes any that is free.

    Raises:
        InputError: the port is taken.
        GotowceError: it does not start.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise InputError(
            f"--port {port}: cannot be had ({error.strerror}); choose another one, or stop what "
            f"`ss -ltnp` names"
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
    """Let reviewers of a project click while the block lasts; then its page is as it was.

    Args:
        title: of the project in Label Studio.
        token: of the session; Label Studio keeps it as the backend's password.

    Yields:
        The address of the project's page.

    Raises:
        InputError: there is no such project, or Label Studio may not reach this machine.
        ServerDownError: Label Studio went away.
    """
    with plain_errors(room.url):
        project = find_project(room.client, title)
        if project is None:
            raise InputError(f"Label Studio has no project {title!r}; `gotowce review push` makes it")
    try:
        with plain_errors(room.url):
            _unregister(room.client, project.id)
            _register(room.client, project.id, url, token)
            room.client.projects.update(project.id, label_config=with_smart_tools(project.label_config))
        yield f"{room.url}/projects/{project.id}"
    finally:
        # From a server that went away there is no leave-taking; the next start puts it right.
        try:
            with plain_errors(room.url):
                if left := find_project(room.client, title):
                    _unregister(room.client, left.id)
                    room.client.projects.update(left.id, label_config=without_smart_tools(left.label_config))
        except GotowceError as error:
            logging.getLogger(__name__).warning("the page keeps its tools for clicks: %s", error)


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
            f"this Label Studio may not ask {url}; start it with `gotowce review serve --assist`, or with "
            f"LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false and "
            f"LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS=169.254.0.0/16"
        ) from error
    finally:
        _drop_webhooks(client, project)


def _drop_webhooks(client: "LabelStudio", project: int) -> None:
    """Label Studio makes one for every backend; each submit would wait for it, and we learn nothing by it."""
    for hook in client.webhooks.list(project=project):
        if hook.id is not None and hook.url.startswith(f"http://{HOST}:") and hook.url.endswith("/webhook"):
            client.webhooks.delete(hook.id)


def _unregister(client: "LabelStudio", project: int) -> None:
    for backend in client.ml.list(project=project):
        if backend.title == TITLE and backend.id is not None:
            client.ml.delete(backend.id)
