"""Turn the designator a game draws around its target into a trained detector."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gotowce_dagster.api import detect, open_project, read_rows, run_stage
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.errors import InputError
    from gotowce_dagster.designators.calibrate import Calibration, calibrate
    from gotowce_dagster.designators.profile import Profile, read_profile, write_profile

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

# Read when torch loads its OpenMP. Threads that spin while waiting take cores from other processes: next to
# one busy process on two cores, SAM 2 took 9.1 s per frame with spinning and 1.2 s without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_MODULES = {
    "Calibration": "designators.calibrate",
    "InputError": "core.errors",
    "Profile": "designators.profile",
    "Project": "config.project",
    "calibrate": "designators.calibrate",
    "read_profile": "designators.profile",
    "write_profile": "designators.profile",
}
"""The modules of public names that are not in api.py."""


def __getattr__(name: str) -> Any:
    # Imported on first use, because the command line and Dagster import this package without needing them.
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'api')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
