"""What the comparison adds to the detectors it measures, and what several pictures at once gain.

    python benchmarks/comparison_overhead.py VIDEO PROFILE.toml [--frames 12] [--rounds 5]

1. Overhead: the same frames by calling the detector directly and by the comparison's own loop, in turns, the
   best of each frame. First the seconds that it reports of the detector; then what it does beside: checking
   boxes, counting costs and memory, telling events. Reading frames, which any loop has to do, is apart.
2. Batches: frames a second with 2, 4, ... at once against one at a time, and the tiles of a frame seen four
   at once against one after the other.

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

from gotowce_dagster.comparison.footage import Footage, sample
from gotowce_dagster.comparison.job import Job, Limits, Picture
from gotowce_dagster.comparison.subjects import detector
from gotowce_dagster.comparison.worker import measure
from gotowce_dagster.detectors.profile import read_profile
from gotowce_dagster.detectors.registry import build_detector
from gotowce_dagster.detectors.settings import DetectorSettings
from gotowce_dagster.pictures.read import read_rgb

DETECTORS: dict[str, dict[str, Any]] = {
    "bracket": {"kind": "bracket"},
    "yolo26n": {"kind": "yolo", "weights": "yolo26n.pt", "imgsz": 640},
}
TILED = {"kind": "yolo", "weights": "yolo26n.pt", "imgsz": 320, "input": {"tiles": {"side": 320}}}
NO_BATCHES = Limits(max_batch=0, batch_s=0, memory_mb=0)


def job(settings: dict[str, Any], pictures: list[Picture], limits: Limits = NO_BATCHES) -> Job:
    maker = f"{detector.__module__}:{detector.__name__}"
    return Job(maker=maker, name="it", settings=settings, by_profile=False, pictures=pictures, limits=limits)


def direct(settings: dict[str, Any], pictures: list[Picture]) -> np.ndarray:
    """A fresh detector without the comparison: (2, frames) seconds of it alone, and of reading the frame."""
    told = TypeAdapter(DetectorSettings).validate_python(settings)
    made = build_detector("it", told, read_profile(pictures[0].profile))
    made.detect([read_rgb(pictures[0].file)])
    taken = []
    for picture in pictures:
        start = time.perf_counter()
        image = read_rgb(picture.file)
        middle = time.perf_counter()
        made.detect([image])
        taken.append((time.perf_counter() - middle, middle - start))
    return np.array(taken).T


def compared(settings: dict[str, Any], pictures: list[Picture]) -> np.ndarray:
    """The same by the comparison: (2, frames) seconds that it reports, and all others of its loop."""
    events = measure(job(settings, pictures))
    next(events)
    taken, start = [], time.perf_counter()
    for event in events:
        json.dumps(event)
        end = time.perf_counter()
        taken.append((event["seconds"], end - start - event["seconds"]))
        start = end
    return np.array(taken).T


def overhead(settings: dict[str, Any], pictures: list[Picture], rounds: int) -> None:
    pairs = [(direct(settings, pictures), compared(settings, pictures)) for _ in range(rounds)]
    # The best of each frame: other work on the machine only adds.
    (alone, reading), (reported, around) = 1000 * np.array(pairs).min(axis=0).mean(axis=-1)
    print(
        f"  direct {alone:.2f} ms a frame, reported {reported:.2f}, ratio {reported / alone:.4f}\n"
        f"  reading a frame {reading:.2f} ms, all that the comparison does beside the detector {around:.2f}: "
        f"it adds {around - reading:.2f}, ratio {1 + (around - reading) / alone:.4f}"
    )


def batches(settings: dict[str, Any], pictures: list[Picture]) -> None:
    found = [
        event
        for event in measure(job(settings, pictures, Limits(max_batch=8, batch_s=120, memory_mb=16_000)))
        if event["event"] == "batch"
    ]
    for event in found:
        gain = event["images_per_s"] / found[0]["images_per_s"]
        print(f"  {event['size']} at once  {event['images_per_s']:8.2f} frames a second  ratio {gain:.2f}")


def tiles(pictures: list[Picture], rounds: int) -> None:
    taken = [[direct(TILED | {"batch": batch}, pictures)[0] for batch in (1, 4)] for _ in range(rounds)]
    one, four = 1000 * np.array(taken).min(axis=0).mean(axis=-1)
    print(f"  one at a time {one:8.1f} ms a frame  four at once {four:8.1f}  ratio {one / four:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    parts: list[tuple[str, Callable[[dict[str, Any], list[Picture]], None]]] = [
        (
            "what the comparison adds",
            lambda settings, pictures: overhead(settings, pictures, arguments.rounds),
        ),
        ("several frames at once", batches),
    ]
    with TemporaryDirectory() as folder:
        footage = Footage("video", arguments.video, arguments.profile, None)
        pictures = sample([footage], arguments.frames, Path(folder)).pictures
        for title, part in parts:
            for name, settings in DETECTORS.items():
                print(f"{name}: {title}")
                part(settings, pictures)
        print("yolo26n: tiles of 320 pixels")
        tiles(pictures[:4], arguments.rounds)


if __name__ == "__main__":
    main()
