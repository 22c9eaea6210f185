"""A server of weights that can misbehave."""

import http.server
import json
import threading
import zipfile
from collections.abc import Callable
from io import BytesIO

HTML = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>"


def archive(content: bytes = b"0123456789" * 300_000) -> bytes:
    """As torch.save makes them: a zip archive."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", content)
    return out.getvalue()


def safetensors(numbers: int = 4) -> bytes:
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * numbers)


CONTENT = archive()


class Server:
    """A server on loopback with a set answer for each path."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, str, str | None, str | None]] = []
        mine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = (self.headers["Range"], self.headers["Authorization"])
                mine.asked.append((self.command, self.path, *sent))
                answer = mine.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            do_HEAD = do_GET  # noqa: N815 - as http.server calls it

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # The interval is how long stopping takes.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def body(
        self, path: str, body: bytes, length: int | None = -1, status: int = 200, **headers: str
    ) -> None:
        """Answer with a body; ``length`` is announced, -1: the body's own, None: none."""

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            sent = body
            start = (request.headers["Range"] or "").removeprefix("bytes=").partition("-")[0]
            code = status
            if start and status == 200 and length == -1:
                sent, code = body[int(start) :], 206
            request.send_response(code)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            if length is not None:
                request.send_header("Content-Length", str(len(sent) if length == -1 else length))
            if code == 206:
                request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            request.end_headers()
            if request.command == "GET":
                request.wfile.write(sent)
                request.close_connection = True

        self.answers[path] = answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
