"""Seconds and memory of masks per target, by engine and batch, beside the libraries of the engines.

    python -m benchmarks.mask_engines [--targets 8] [--rounds 3] [--quick]

The same crops of the sample clips, three designator sides around each ground-truth designator, each prompted
with a point at its centre. Each row is measured in a process of its own: CPU seconds per target of the
fastest round after one to warm up, and the peak memory of the process. The libraries are called as their
documentation shows: ultralytics' SAM takes one image a call; the sam2 package takes batches, in float32.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.ratios import compare
from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import centres, xyxy
from gotowce_dagster.core.crops import around
from gotowce_dagster.core.memory import peak_mb
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.core.weights import require
from gotowce_dagster.video.decode import read_frames

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
SAM2, MOBILE = "sam2_hiera_tiny_image.pt", "mobile_sam.pt"
_SCALE = 3.0
_LARGEST = "sam2, package, 1024 px"
Target = tuple[np.ndarray, np.ndarray]
"""A crop, RGB uint8 (h, w, 3), and a point in it, (2,) as x, y."""
Segment = Callable[[Sequence[Target]], object]


def targets(count: int) -> Iterator[Target]:
    """Crops of ground-truth designators in the sample clips."""
    truth = read_truth(SAMPLES / "truth.csv")
    rows = truth[truth["label"] == "designator"].head(count)
    for clip, of_clip in rows.groupby("clip"):
        frames = {
            f.index: f.rgb() for f in read_frames(SAMPLES / str(clip), sorted(set(of_clip["frame_index"])))
        }
        for index, box in zip(of_clip["frame_index"], xyxy(of_clip), strict=True):
            window = around(box, _SCALE, *frames[index].shape[:2])
            yield window.cut(frames[index]), centres(window.to_crop(box))


def ours(engine: str, params: MasksParams) -> Segment:
    """Encode and decode as the stage `masks` does, with one prompt."""
    from gotowce_dagster.segmenters.base import Interactive
    from gotowce_dagster.segmenters.prompts import Prompt
    from gotowce_dagster.segmenters.registry import build_segmenter

    model = build_segmenter(engine, params)
    assert isinstance(model, Interactive)
    return lambda part: model.predict(
        [crop for crop, _ in part], [[Prompt(point[None], np.ones(1, int))] for _, point in part]
    )


def package(input_px: int) -> Segment:
    """The sam2 package's image predictor, in float32."""
    import torch

    from gotowce_dagster.segmenters.sam2 import predictor_of

    predictor = predictor_of(SAM2, input_px)
    # As the package loads it; ours stores weights as it computes.
    predictor.model.float().to(memory_format=torch.contiguous_format)

    def segment(part: Sequence[Target]) -> object:
        with torch.inference_mode():
            predictor.set_image_batch([crop for crop, _ in part])
            return predictor.predict_batch([point[None] for _, point in part], [np.ones(1, int)] * len(part))

    return segment


def ultralytics() -> Segment:
    """Ultralytics' SAM with MobileSAM's weights, one image a call."""
    from ultralytics import SAM

    model = SAM(str(require(MOBILE)))
    return lambda part: [
        model(crop[..., ::-1], points=[point.tolist()], labels=[1], verbose=False) for crop, point in part
    ]


def engines(params: MasksParams) -> dict[str, Callable[[], Segment]]:
    """What is compared, by name."""
    side = params.input_px
    return {
        f"sam2, ours, {side} px": lambda: ours(f"sam2:{SAM2}", params),
        f"sam2, package, {side} px": lambda: package(side),
        _LARGEST: lambda: package(1024),
        "mobile_sam, ours, 1024 px": lambda: ours(f"mobile_sam:{MOBILE}", params),
        "mobile_sam, ultralytics, 1024 px": ultralytics,
    }


def measure(name: str, batch: int, count: int, rounds: int) -> dict[str, float]:
    """CPU and wall-clock seconds per target of the fastest round, and peak memory in MB.

    With ``rounds`` 0, those of the round that else warms up.
    """
    segment, chosen = engines(_params())[name](), list(targets(count))
    best_cpu = best_wall = float("inf")
    for round_number in range(rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(chosen), batch):
            segment(chosen[start : start + batch])
        if round_number or not rounds:
            best_cpu = min(best_cpu, (time.process_time() - cpu) / len(chosen))
            best_wall = min(best_wall, (time.perf_counter() - wall) / len(chosen))
    return {"cpu_s": best_cpu, "wall_s": best_wall, "memory_mb": peak_mb()}


def _params() -> MasksParams:
    return Project.find(Path(__file__).parent).params.masks


def main() -> None:
    """Measure all, each in its own process, and print the table and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument(
        "--quick", action="store_true", help="one target, once, in this process, without the largest input"
    )
    parser.add_argument("--one", nargs=2, metavar=("NAME", "BATCH"), help="one row, as JSON")
    options = parser.parse_args()
    if options.quick:
        options.targets, options.rounds, options.batches = 1, 0, [1]
    if options.one:
        name, batch = options.one
        print(json.dumps(measure(name, int(batch), options.targets, options.rounds)))
        return
    by, names = measure if options.quick else _measured, list(engines(_params()))
    if options.quick:
        names.remove(_LARGEST)
    found: dict[tuple[str, int], dict[str, float]] = {}
    print("| engine | batch | CPU s per target | s per target | peak MB |\n| --- | --- | --- | --- | --- |")
    for name in names:
        for batch in options.batches if name.startswith("sam2") else options.batches[:1]:
            row = found[name, batch] = by(name, batch, options.targets, options.rounds)
            print(
                f"| {name} | {batch} | {row['cpu_s']:.2f} | {row['wall_s']:.2f} | {row['memory_mb']:.0f} |",
                flush=True,
            )
    own, same, *_, mobile, other_mobile = (found[name, options.batches[0]] for name in names)
    for what, mine, other, against in (
        ("a mask by SAM 2", own, same, "the sam2 package at the same input"),
        ("a mask by MobileSAM", mobile, other_mobile, "ultralytics' SAM"),
    ):
        compare(what, mine["cpu_s"], other["cpu_s"], against=against, unit="CPU s")


def _measured(name: str, batch: int, count: int, rounds: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.mask_engines", "--one", name, str(batch)]
    command += ["--targets", str(count), "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
