"""Overhead of the comparison over the detectors it measures, and the gain of batches.

    python -m benchmarks.comparison_overhead VIDEO PROFILE.toml [--frames 12] [--rounds 5] [--most 8]

1. Overhead: the comparison's own time per frame, measured with a detector that does nothing, relative to the
   time of each detector called directly. Reading frames, which any loop must do, is reported separately.
2. Batches: frames a second with batches of 2, 4, ... relative to single frames, and tiles of a frame in
   batches of four relative to single tiles.

yolo26n.pt must be in GOTOWCE_WEIGHTS_DIR.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks.ratios import compare
from gotowce_dagster.comparison.footage import Footage, sample
from gotowce_dagster.comparison.job import Job, Limits, Picture
from gotowce_dagster.comparison.subjects import Subject, detector
from gotowce_dagster.comparison.worker import measure
from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.registry import build_detector
from gotowce_dagster.pictures.read import read_rgb

DETECTORS: dict[str, dict[str, Any]] = {
    "bracket": {"kind": "bracket"},
    "yolo26n": {"kind": "yolo", "weights": "yolo26n.pt", "imgsz": 640},
}
TILED = {"kind": "yolo", "weights": "yolo26n.pt", "imgsz": 320, "input": {"tiles": {"side": 320}}}
NO_BATCHES = Limits(max_batch=0, batch_s=0, memory_mb=1)


def job(
    settings: dict[str, Any],
    pictures: list[Picture],
    limits: Limits = NO_BATCHES,
    maker: str = f"{detector.__module__}:{detector.__name__}",
) -> Job:
    return Job(maker=maker, name="it", settings=settings, by_profile=False, pictures=pictures, limits=limits)


def nothing(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """A detector that takes no time and returns one box."""
    found = from_boxes([[1.0, 1.0, 9.0, 9.0]], [1.0])
    return Subject(lambda images, designators: [found for _ in images], Cost(), (), "cpu")


def direct(settings: dict[str, Any], pictures: list[Picture]) -> np.ndarray:
    """Time a new detector without the comparison: seconds per frame (frames,)."""
    parsed = TypeAdapter(DetectorSettings).validate_python(settings)
    made = build_detector("it", parsed, read_profile(pictures[0].profile))
    images = [read_rgb(picture.file) for picture in pictures]
    made.detect(images[:1])
    return np.array([timed(lambda image=image: made.detect([image])) for image in images])


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def around(pictures: list[Picture]) -> np.ndarray:
    """Time the comparison with the empty detector: seconds (3, frames) of loop, report and reading."""
    events = measure(job({}, pictures, maker="__main__:nothing"))
    next(events)
    taken = []
    for picture in pictures:
        start = time.perf_counter()
        event = next(events)
        json.dumps(event)
        loop = time.perf_counter() - start
        taken.append((loop, event["seconds"], timed(lambda file=picture.file: read_rgb(file))))
    return np.array(taken).T


def overhead(pictures: list[Picture], rounds: int) -> None:
    # The minimum per frame: other load on the machine only adds.
    best = 1000 * np.array([around(pictures) for _ in range(10 * rounds)]).min(axis=0)
    loop, reported, reading = np.median(best, axis=-1)
    adds = loop - reading
    print(f"the comparison adds {adds:.3f} ms a frame, {reported:.3f} of them to the seconds that it reports")
    for name, settings in DETECTORS.items():
        alone = 1000 * np.min([direct(settings, pictures) for _ in range(rounds)], axis=0).mean()
        compare(f"comparison, {name}", alone + adds, alone, against="calling it directly", unit="ms a frame")


def batches(settings: dict[str, Any], pictures: list[Picture], most: int) -> None:
    found = [
        event
        for event in measure(job(settings, pictures, Limits(max_batch=most, batch_s=120, memory_mb=16_000)))
        if event["event"] == "batch"
    ]
    for event in found:
        gain = event["images_per_s"] / found[0]["images_per_s"]
        print(f"  {event['size']} at once  {event['images_per_s']:8.2f} frames a second  ratio {gain:.2f}")


def tiles(pictures: list[Picture], rounds: int) -> None:
    taken = [[direct(TILED | {"batch": batch}, pictures) for batch in (1, 4)] for _ in range(rounds)]
    one, four = 1000 * np.array(taken).min(axis=0).mean(axis=-1)
    compare("tiles, four at once", four, one, against="one at a time", unit="ms a frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=8, help="largest batch")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        footage = Footage("video", arguments.video, arguments.profile, None)
        pictures = sample([footage], arguments.frames, Path(folder)).pictures
        overhead(pictures, arguments.rounds)
        for name, settings in DETECTORS.items():
            print(f"{name}: several frames at once")
            batches(settings, pictures, arguments.most)
        print("yolo26n: tiles of 320 pixels")
        tiles(pictures[:4], arguments.rounds)


if __name__ == "__main__":
    main()
