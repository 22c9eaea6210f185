"""Time to push frames to Label Studio, to pull reviews, and to pull when there is nothing new.

    gotowce review serve &
    python -m benchmarks.review_room [--frames 1000] [--masks 1]

Frames of 1080p with that many boxes and masks each, in a separate project that is deleted at the end.
Every review accepts, through Label Studio's own action that copies predictions.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.review.connection import connect, find
from gotowce_dagster.review.pull import pull
from gotowce_dagster.review.push import push
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.tasks import FrameToReview

SIZE = Size(1920, 1080)
_TITLE = "benchmark"


def made_up(count: int, masks: int) -> list[FrameToReview]:
    """Create frames whose labels are different ellipses."""
    rng = np.random.default_rng(1)
    return [
        FrameToReview(
            video="benchmark",
            frame_index=index,
            time_s=index / 2,
            file=Path(f"frames/benchmark/{index:06d}.jpg"),
            frame_hash=f"{index:016x}",
            size=SIZE,
            labels=[_label(rng, number) for number in range(masks)],
            sample="all",
            order=index / count,
        )
        for index in range(count)
    ]


def _label(rng: np.random.Generator, number: int) -> dict[str, Any]:
    mask = np.zeros((SIZE.height, SIZE.width), np.uint8)
    centre = (int(rng.integers(150, 1700)), int(rng.integers(150, 900)))
    axes = (int(rng.integers(10, 140)), int(rng.integers(10, 140)))
    cv2.ellipse(mask, centre, axes, float(rng.integers(0, 180)), 0, 360, 1, -1)
    x, y, width, height = cv2.boundingRect(mask)
    return {
        "detection_id": number,
        "class_name": "ship",
        **{"x1": x, "y1": y, "x2": x + width, "y2": y + height},
        "rle": rle.encode(mask.astype(bool)),
        "quality": 0.8,
        "reasons": [],
    }


def timed(what: str, work: Callable[[], object]) -> None:
    """Print the elapsed seconds, the share of our own code, and the load of the machine."""
    start, own = time.perf_counter(), time.process_time()
    work()
    took, own = time.perf_counter() - start, time.process_time() - own
    print(f"{what:<20}{took:8.2f} s, own {own:6.2f} s, load {os.getloadavg()[0]:5.1f}")


def options(description: str | None, frames: int, masks: int) -> argparse.Namespace:
    """Parse the number of frames and of masks per frame, with these defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=frames)
    parser.add_argument("--masks", type=int, default=masks, help="masks per frame")
    return parser.parse_args()


def main() -> None:
    arguments = options(__doc__, frames=1000, masks=1)
    project = Project.find()
    room = connect(find(project.paths.root))
    params = project.params.review.tasks.model_copy(update={"project": _TITLE})
    frames = made_up(arguments.frames, arguments.masks)
    folder = project.paths.data / "frames"

    def send() -> None:
        nonlocal number
        number = push(room, frames, folder, params, why={}).project

    number = 0
    with TemporaryDirectory() as pulled:
        try:
            timed("push", send)
            timed("push again", send)
            everything: Any = {"all": True, "excluded": []}
            room.client.actions.create(
                id="predictions_to_annotations", project=number, selected_items=everything
            )
            # Changes of the last seconds are read twice, in case one was still in progress.
            time.sleep(6)
            timed("pull", lambda: pull(room, Paths(Path(pulled)), _TITLE))
            for _ in range(3):
                timed("poll without news", lambda: pull(room, Paths(Path(pulled)), _TITLE))
        finally:
            room.client.projects.delete(number)


if __name__ == "__main__":
    main()
