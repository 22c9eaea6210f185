"""A proxy to a server that can be cut at any moment, as if the server had been killed."""

import select
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

from gotowce_dagster.core.progress import Progress


class Line:
    """Forwards bytes between clients of ``url`` and a server, until it is cut."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._entrance = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._entrance.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        for end in (self._entrance, *self._open):
            # Wakes waiting threads; on a socket that is only closed they may wait forever.
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                end.close()

    def cut_at(self, done: int) -> Progress:
        """A progress callback that cuts the connection at this progress."""
        return lambda now, total: self.cut() if now == done else None

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._entrance.accept()
            except OSError:
                return
            far = socket.create_connection((self._target.hostname, self._target.port))
            self._open += [near, far]
            threading.Thread(target=_pass_on, args=(near, far), daemon=True).start()


def _pass_on(near: socket.socket, far: socket.socket) -> None:
    others = {near: far, far: near}
    try:
        while True:
            for end in select.select([near, far], [], [])[0]:
                if not (data := end.recv(1 << 16)):
                    return
                others[end].sendall(data)
    except (OSError, ValueError):
        return
    finally:
        near.close()
        far.close()


@contextmanager
def cut_line(target: str) -> Generator[Line]:
    line = Line(target)
    try:
        yield line
    finally:
        line.cut()
