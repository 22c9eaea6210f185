"""A line for each comparison of ours with an alternative, and a record of them for benchmarks/run_all.py."""

import json
import os
from pathlib import Path

RECORD = "BENCHMARK_RATIOS"
"""Names the file, in the environment, that comparisons are added to."""


def compare(
    what: str, ours: float, other: float, *, against: str, unit: str, more_is_better: bool = False
) -> None:
    """Print how many times better ours is than the alternative, measured in the same run.

    Args:
        what: What is measured, in a few words.
        ours: Our figure.
        other: The figure of the alternative.
        against: The alternative.
        unit: The unit of both figures.
        more_is_better: Whether a larger figure is better.

    Raises:
        ValueError: A figure is not positive, so there is no ratio.
    """
    if min(ours, other) <= 0:
        raise ValueError(f"{what}: {ours} and {other} {unit}; expected positive figures")
    ratio = ours / other if more_is_better else other / ours
    print(f"{what}: {ratio:.2f} times {against} ({ours:.3g} to {other:.3g} {unit})", flush=True)
    if path := os.environ.get(RECORD):
        row = {"what": what, "ratio": ratio, "ours": ours, "other": other, "against": against, "unit": unit}
        with Path(path).open("a", encoding="utf-8") as record:
            record.write(json.dumps(row) + "\n")
