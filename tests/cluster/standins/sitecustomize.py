"""In every Python process with this folder on its path: stages are logged, and may take longer.

STAGES_LOG names the file with one line for each begin and end of a stage, and for the end of each run on a
node. SECONDS_OF_STAGES is JSON, seconds that each stage sleeps before it computes; HELD_STAGES is JSON, files
that each stage waits for.
"""

import atexit
import importlib.abc
import importlib.util
import json
import os
import sys
import time
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = "gotowce_dagster.stages."


class _Slowed(importlib.abc.MetaPathFinder):
    """Wraps the function ``run`` of modules of stages."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(_PACKAGE) or name.endswith((".table", ".base")):
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                vars(module)["run"] = _slowed(name.removeprefix(_PACKAGE), vars(module)["run"])

            spec.loader.exec_module = exec_module
        return spec


def _slowed(stage: str, run: Any) -> Any:
    seconds = json.loads(os.environ.get("SECONDS_OF_STAGES", "{}")).get(stage, 0)
    held = json.loads(os.environ.get("HELD_STAGES", "{}")).get(stage)

    def slowed(project: Any, *arguments: Any, **named: Any) -> None:
        video = arguments[0] if arguments and isinstance(arguments[0], str) else None
        _log("begins", stage=stage, video=video)
        time.sleep(seconds)
        while held and not os.path.exists(held):  # noqa: PTH110
            time.sleep(0.2)
        run(project, *arguments, **named)
        _log("ends", stage=stage, video=video)

    return slowed


def _log(what: str, **details: Any) -> None:
    """Write a line, with the CPU seconds of this process and its children so far."""
    known = {
        "what": what,
        "node": os.environ.get("GOTOWCE_NODE"),
        "at": time.time(),
        "cpu_s": sum(os.times()[:4]),
    }
    with open(os.environ["STAGES_LOG"], "a", encoding="utf-8") as log:  # noqa: PTH123
        log.write(json.dumps(known | details) + "\n")


if "STAGES_LOG" in os.environ:
    sys.meta_path.insert(0, _Slowed())
    if "gotowce_dagster.cluster.worker" in sys.orig_argv:
        atexit.register(_log, "run ends")
