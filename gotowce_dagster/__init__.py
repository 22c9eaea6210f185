"""Turn the designator a game draws around its target into a trained detector."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gotowce_dagster.api import (
        Calibration,
        InputError,
        Profile,
        Project,
        calibrate,
        detect,
        open_project,
        read_profile,
        read_rows,
        run_stage,
        write_profile,
    )

__all__ = [
    "Calibration",
    "InputError",
    "Profile",
    "Project",
    "calibrate",
    "detect",
    "open_project",
    "read_profile",
    "read_rows",
    "run_stage",
    "write_profile",
]

# Read when torch loads its OpenMP. Threads that spin while they wait take the cores from whatever else runs:
# beside one other busy process on two cores, SAM 2 took 9.1 s a frame spinning and 1.2 s without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    # On first use: the command line and Dagster import this package, and need none of it.
    if name in __all__:
        return getattr(import_module("gotowce_dagster.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
