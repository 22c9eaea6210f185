"""Run a program that kills itself while DVC writes one of its files.

python -m tests.faults.killed_writer NTH FRACTION MODULE ARGUMENTS...

Runs MODULE, as `python -m` does; the NTH time that DVC dumps YAML (dvc.lock, a .dvc file, an entry of its run
cache), FRACTION of the text reaches the disk and then the process dies as by `kill -9`.
"""

import io
import os
import runpy
import signal
import sys
from typing import Any


def _kill_in_write(nth: int, fraction: float) -> None:
    from dvc.utils.serialize import _yaml

    dump, done = _yaml._dump, 0

    def dump_and_die(data: Any, stream: Any) -> None:
        nonlocal done
        done += 1
        if done != nth:
            dump(data, stream)
            return
        whole = io.StringIO()
        dump(data, whole)
        stream.write(whole.getvalue()[: int(len(whole.getvalue()) * fraction)])
        stream.flush()
        os.fsync(stream.fileno())
        os.kill(os.getpid(), signal.SIGKILL)

    vars(_yaml)["_dump"] = dump_and_die


if __name__ == "__main__":
    _kill_in_write(int(sys.argv[1]), float(sys.argv[2]))
    sys.argv = sys.argv[3:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
