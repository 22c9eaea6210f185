"""Memory of this process: its peak, and what it gives back to the system."""

import ctypes
import gc
import resource
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb() -> float:
    """Peak resident memory since the process started, or on Linux since forget_peak, in megabytes."""
    if _STATUS.exists():
        # Not ru_maxrss: on Linux it starts at the peak of the parent process.
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def forget_peak() -> bool:
    """Measure the peak from now on; False where the system cannot (it can on Linux)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def give_back() -> None:
    """Return memory that is free inside the process to the system; glibc keeps it for later otherwise.

    After models and many arrays of different sizes that are hundreds of megabytes, on which the next peak
    would come on top.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
