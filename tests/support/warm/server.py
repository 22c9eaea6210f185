"""``python -m tests.support.warm.server FOLDER``: forks a process for each command.

It ends with its standard input.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gotowce_dagster.core.offline import keep_offline

IMPORTED = (
    "gotowce_dagster.cli.add",
    "gotowce_dagster.cli.repair",
    "gotowce_dagster.cli.stage",
    "gotowce_dagster.cli.sync",
    "gotowce_dagster.comparison.job",
    "gotowce_dagster.comparison.subjects",
    "gotowce_dagster.evaluation.find",
    "gotowce_dagster.intake.dvc_repo",
    "gotowce_dagster.intake.videos",
    "gotowce_dagster.previews.table",
    "gotowce_dagster.stages.table",
    "dvc.cli",
    "dvc.parsing",
    "dvc.repo",
    "dvc.repo.reproduce",
)
"""What commands of a pipeline import, with what these import in turn; PyTorch comes with ``keep_offline``."""


@dataclass(frozen=True)
class Command:
    """A command that runs."""

    child: int
    """The process that was forked for it."""
    ended: int
    """Descriptor of that process, which can be read when it has ended."""
    caller: socket.socket
    """Connection to the program that was called; it ends with it."""

    def report(self) -> None:
        """Tell the caller how the process ended: its exit code, or less than zero, a signal."""
        _, status = os.waitpid(self.child, 0)
        with contextlib.suppress(OSError):  # of a caller that was killed
            self.caller.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        self.caller.close()
        os.close(self.ended)


def serve(folder: Path) -> socket.socket | None:
    """Fork for each command. In a forked process: the connection to its caller. At the end: None."""
    running: dict[int, Command] = {}
    """By each of the two descriptors that tell of a command's end."""
    events = select.poll()
    with socket.socket(socket.AF_UNIX) as calls:
        calls.bind(str(folder / "socket"))
        calls.listen(64)
        events.register(calls, select.POLLIN)
        events.register(sys.stdin, select.POLLIN)
        print("ready", flush=True)
        while True:
            # One at a time: what follows may close what else is ready, and give its number to another.
            ready, _ = events.poll()[0]
            if ready == sys.stdin.fileno():
                return None
            if ready == calls.fileno():
                caller, _ = calls.accept()
                child = os.fork()
                if child == 0:
                    return caller
                command = Command(child, os.pidfd_open(child), caller)
                running[command.ended] = running[caller.fileno()] = command
                events.register(command.ended, select.POLLIN)
                events.register(caller, 0)  # what it sends is for the process; only its end counts here
                continue
            command = running.pop(ready)
            events.unregister(ready)
            if ready != command.ended:
                os.kill(command.child, signal.SIGKILL)
                continue
            if running.pop(command.caller.fileno(), None):
                events.unregister(command.caller)
            command.report()


def become(caller: socket.socket) -> Callable[[], object]:
    """Make this process what was called, with its files, folder and environment; the function to call."""
    head, files, _, _ = socket.recv_fds(caller, 8, 3)
    length, content = int.from_bytes(head, "big"), b""
    while len(content) < length:
        content += caller.recv(length - len(content))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    name, words, folder, environ, umask = json.loads(content)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    os.umask(umask)
    if name == "python":
        _, module, *words = words
        sys.argv = [name, *words]
        return lambda: runpy.run_module(module, run_name="__main__", alter_sys=True) and None
    sys.argv = [name, *words]
    return importlib.import_module("dvc.cli" if name == "dvc" else "gotowce_dagster.cli.main").main


def run(function: Callable[[], object]) -> NoReturn:
    """Call a program's main function and end as Python would, without taking down all that was imported."""
    try:
        code = function()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Import, serve, and in a forked process run its command."""
    keep_offline()
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()
    folder = Path(sys.argv[1])
    sys.executable = str(folder / "python")  # of commands that compare contenders
    caller = serve(folder)
    if caller is not None:  # open until the process ends: it dies with its caller
        run(become(caller))


if __name__ == "__main__":
    main()
