import pandas as pd
import pytest

from gotowce_dagster.comparison.conclusion import conclusions


def row(name: str, f1: float | None, low: float | None = None, **changes: object) -> dict[str, object]:
    usual = {
        "name": name, "what": "detector", "truth": "designator", "status": "ran", "scored_frames": 8,
        "f1_50": f1, "f1_50_low": low, "f1_50_high": None if f1 is None else min(1.0, f1 + 0.1),
        "median_s": 0.5, "memory_mb": 1200.0, "money_per_1000": 0.0,
    }  # fmt: skip
    return usual | changes


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [row("yolo", 0.5, 0.4, median_s=0.02), row("bracket", 0.9, 0.8)],
            [
                "Detectors against ground-truth designators: bracket has the highest F1 at IoU 0.5, "
                "0.90 (0.80–\u20601.00) on 8 frames, at 0.5 s a frame and 1,200 MB. Next is yolo with "
                "0.50 (0.40–\u20600.60), which is worse on these frames. The fastest is yolo, 0.02 s a frame."
            ],
        ),
        (
            [row("claude", 0.8, 0.6, money_per_1000=2.5), row("bracket", 0.75, 0.6)],
            [
                "Detectors against ground-truth designators: claude has the highest F1 at IoU 0.5, "
                "0.80 (0.60–\u20600.90) on 8 frames, at 0.5 s a frame and 1,200 MB, $ 2.50 for 1,000 frames. "
                "Next is bracket with 0.75 (0.60–\u20600.85): these frames do not tell the two apart."
            ],
        ),
        (
            [row("gone", None, status="cannot run"), row("grabcut", 0.5, what="segmenter", truth="object")],
            [
                "Segmenters against ground-truth objects: grabcut has the highest F1 at IoU 0.5, 0.50 on 8 "
                "frames, at 0.5 s a frame and 1,200 MB."
            ],
        ),
        ([row("gone", None)], ["No contender has a score on these frames, so none can be called the best."]),
    ],
    ids=["one is better", "alike, and one costs money", "one alone", "no score"],
)
def test_the_conclusion_has_the_numbers(rows: list[dict[str, object]], expected: list[str]) -> None:
    assert conclusions(pd.DataFrame(rows)) == expected
