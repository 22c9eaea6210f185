"""Accuracy of target boxes against ground truth, by segmenter.

    python -m benchmarks.target_boxes FOOTAGE_FOLDER [ENGINE ...]

Uses the frames of benchmarks/truth_rows.py. Every frame is rated alone, by the rules of params.yaml.
benchmarks/image_masks.py has the ablation of mask selection.
"""

import argparse
import time
from itertools import islice
from pathlib import Path

import pandas as pd

from benchmarks.truth_rows import WRONG, Case, iou, read_cases, verdict
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.segmenters.targets import segment_targets

ENGINES = ("grabcut", "mobile_sam:mobile_sam.pt", "sam2:sam2_hiera_tiny_image.pt")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("footage", type=Path)
    parser.add_argument("engines", nargs="*", default=ENGINES)
    parser.add_argument("--most", type=int, help="no more frames than this")
    arguments = parser.parse_args()
    project = Project.find(Path(__file__).parent)
    cases = list(islice(read_cases(arguments.footage, project), arguments.most))
    pd.set_option("display.width", 200)
    for engine in arguments.engines:
        results = run(engine, cases, project)
        print(f"\n{engine} on {build_segmenter(engine, project.params.masks).device}, {len(cases)} frames")
        print(summary(results).to_string())
        accepted = results[results["verdict"] == "accept"]
        wrong = (accepted["iou"] < WRONG).mean() if len(accepted) else 0.0
        print(f"wrong among accepted {wrong:.1%}; {results['seconds'].median():.2f} s per frame")
        refused = results[results["verdict"] != "accept"]
        for row in refused.itertuples():
            print(f"  {row.verdict}: {row.clip} {row.frame_index}, IoU {row.iou:.2f}: {row.reasons}")


def run(engine: str, cases: list[Case], project: Project) -> pd.DataFrame:
    """Evaluate a segmenter: one row per case with the IoU of its box and its verdict."""
    params = project.params.masks
    segmenter = build_segmenter(engine, params)
    segmenter.segment(cases[0].image, cases[0].detection.xyxy)  # warm-up: the first call loads and plans
    results = []
    for case in cases:
        start = time.perf_counter()
        rows = segment_targets(case.image, case.detection, segmenter, params)
        seconds = time.perf_counter() - start
        judged, reasons = verdict(case, rows, project)
        results.append(
            {
                "game": case.game,
                "clip": case.clip,
                "frame_index": case.frame_index,
                "iou": iou(xyxy(rows), case.truth),
                "verdict": judged,
                "reasons": reasons,
                "seconds": seconds,
            }
        )
    return pd.DataFrame(results)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """By game: frames, median and lowest IoU, boxes at IoU 0.75, wrong ones, and accepted ones."""
    return results.groupby("game").agg(
        frames=("iou", "size"),
        median_iou=("iou", "median"),
        lowest=("iou", "min"),
        at_75=("iou", lambda iou: (iou >= 0.75).mean()),
        wrong=("iou", lambda iou: (iou < WRONG).sum()),
        accepted=("verdict", lambda verdict: (verdict == "accept").sum()),
    )


if __name__ == "__main__":
    main()
