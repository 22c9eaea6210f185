"""`gotowce` and `dvc` for tests, forked from a process that has imported what they need.

Tests of the pipeline start them hundreds of times, `dvc repro` once for each stage, and each start imports
for two seconds and more. In the folder of ``commands`` both are small programs that pass what they were
called with to a server, which forks a process for each. It has the caller's arguments, folder, environment
and files, and dies if the caller is killed. So does a comparison's process for a contender, started as
``python -m``, where ``sys.executable`` is the `python` of that folder. With ``WARM=0``, and where the kernel
has no pidfd, commands start as users start them.
"""

import atexit
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_BIN = Path(sys.executable).parent


@cache
def commands() -> Path:
    """The folder of the commands; the server starts with the first call in a process and ends with it."""
    if os.environ.get("WARM") == "0" or not hasattr(os, "pidfd_open"):
        return _BIN
    kept = tempfile.TemporaryDirectory(prefix="warm-", ignore_cleanup_errors=True)
    folder = Path(kept.name)
    content = (_HERE / "client.py").read_text(encoding="utf-8")
    for name in ("gotowce", "dvc", "python"):
        (folder / name).write_text(f"#!{sys.executable} -IS\n{content}", encoding="utf-8")
        (folder / name).chmod(0o755)
    (folder / "pythonpath").write_text(os.environ.get("PYTHONPATH", ""), encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm.server", folder],
        cwd=_HERE.parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("wb"),
    )
    assert server.stdout
    assert server.stdout.readline() == b"ready\n", "the server of commands did not start"
    atexit.register(kept.cleanup)
    atexit.register(server.communicate)  # it ends with its input
    return folder


def python() -> str:
    """The `python` among them, for ``sys.executable``."""
    return str(commands() / "python")


def search_path() -> str:
    """A PATH on which they come first, and then all that belongs to this Python."""
    return os.pathsep.join([str(commands()), str(_BIN), os.environ["PATH"]])
