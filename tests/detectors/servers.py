"""A server on this machine that speaks the providers' protocols, and misbehaves on request."""

import json
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gotowce_dagster.core.boxes import BOX


@dataclass(frozen=True)
class Turn:
    """One answer: a tool's arguments or words, or whatever HTTP has to offer instead."""

    args: Any = None
    """A tool's arguments: anything JSON can hold, or a string that is sent as it is where one may."""
    words: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: str | None = None
    """The whole body, in place of the provider's form."""
    delay_s: float = 0.0
    tokens: tuple[int, int] = (1000, 100)


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Server:
    """``turns`` are taken one after the other; when there are none left, ``then`` is the answer."""

    address: str
    then: Turn
    turns: deque[Turn] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)


def boxes(*rows: tuple[str, float, float, float, float, float], coordinates: str = "pixel") -> dict[str, Any]:
    """An answer of the schema: label, x1, y1, x2, y2, confidence."""
    names = ("label", *BOX, "confidence")
    return {"coordinates": coordinates, "boxes": [dict(zip(names, row, strict=True)) for row in rows]}


@contextmanager
def serving(then: Turn) -> Generator[Server]:
    """A server for the length of a test."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                server.requests.append(
                    Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                )
                turn = server.turns.popleft() if server.turns else server.then
            time.sleep(turn.delay_s)
            text = turn.raw if turn.raw is not None else json.dumps(_form(self.path, turn))
            data = text.encode()
            try:
                self.send_response(turn.status)
                for name, value in {"content-type": "application/json", **turn.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except BrokenPipeError:
                pass  # the client has given up

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}", then)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _form(path: str, turn: Turn) -> dict[str, Any]:
    """A turn in the words of the provider whose path it is."""
    if path.endswith("/messages"):
        return _anthropic(turn)
    if path.endswith("/responses"):
        return _responses(turn)
    if path.endswith("/chat/completions"):
        return _chat(turn)
    if path.endswith(":generateContent"):
        return _gemini(turn)
    return turn.args  # Moondream's answers have no wrapping


def _text(turn: Turn) -> str:
    return turn.args if isinstance(turn.args, str) else json.dumps(turn.args)


def _anthropic(turn: Turn) -> dict[str, Any]:
    tool = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": turn.args}
    message = {"type": "text", "text": turn.words}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [tool if turn.words is None else message],
        "stop_reason": "tool_use" if turn.words is None else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": turn.tokens[0], "output_tokens": turn.tokens[1]},
    }


def _responses(turn: Turn) -> dict[str, Any]:
    tool = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "answer",
        "arguments": _text(turn),
        "status": "completed",
    }
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": turn.words, "annotations": []}],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": "gpt",
        "output": [tool if turn.words is None else message],
        "parallel_tool_calls": True,
        "tool_choice": "required",
        "tools": [],
        "usage": {
            "input_tokens": turn.tokens[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": turn.tokens[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(turn.tokens),
        },
    }


def _chat(turn: Turn) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "answer", "arguments": _text(turn)}}
    message = {"role": "assistant", "content": turn.words}
    if turn.words is None:
        message["tool_calls"] = [call]
    return {
        "id": "chatcmpl_1",
        "object": "chat.completion",
        "created": 0,
        "model": "local",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": turn.tokens[0],
            "completion_tokens": turn.tokens[1],
            "total_tokens": sum(turn.tokens),
        },
    }


def _gemini(turn: Turn) -> dict[str, Any]:
    part = {"text": turn.words} if turn.words is not None else {
        "functionCall": {"name": "answer", "args": turn.args}
    }  # fmt: skip
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": turn.tokens[0],
            "candidatesTokenCount": turn.tokens[1],
            "totalTokenCount": sum(turn.tokens),
        },
        "modelVersion": "gemini",
        "responseId": "1",
    }
