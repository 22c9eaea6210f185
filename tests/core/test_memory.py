import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.core.memory import give_back


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1000


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc's malloc only"
)
def test_memory_below_one_that_is_in_use_is_given_back() -> None:
    # Each is small enough for the heap; the last one keeps its end in use.
    arrays = [np.ones(8_000) for _ in range(1_600)]
    kept = arrays.pop()
    del arrays
    before = _resident_mb()
    give_back()
    assert _resident_mb() < before - 50
    assert kept.sum() == len(kept)
