"""Speed of the bracket detector on one core, from decoded frames.

    python -m benchmarks.bracket_speed VIDEO PROFILE.toml [--frames 200]

The baseline is one cv2.inRange over the same frames, the minimum cost of reading every pixel. Times are CPU
times of this process, so other load on the machine does not count.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.ratios import compare
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.local.bracket import Bracket
from gotowce_dagster.video.decode import probe, read_frames


def milliseconds(work: Callable[[np.ndarray], object], images: Sequence[np.ndarray]) -> float:
    """CPU time per image, the best of three rounds."""
    rounds = []
    for _ in range(3):
        start = time.process_time()
        for image in images:
            work(image)
        rounds.append(1000 * (time.process_time() - start) / len(images))
    return min(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("profile", type=Path)
    parser.add_argument(
        "--frames", type=int, default=200, help="number of frames, evenly spaced; all are held in memory"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    info = probe(arguments.video)
    wanted = np.linspace(0, info.frames - 1, min(arguments.frames, info.frames)).round().astype(int)
    images = [frame.rgb() for frame in read_frames(arguments.video, set(wanted.tolist()))]
    profile = read_profile(arguments.profile)
    detector = Bracket(profile)
    ours = milliseconds(lambda image: detector.detect([image]), images)
    floor = milliseconds(lambda image: cv2.inRange(image, (0, 0, 64), (255, 255, 192)), images)
    print(
        f"{arguments.video.name}, {len(images)} frames of {info.width}x{info.height}, "
        f"{len(profile.designators)} designators, one core\n"
        f"bracket      {ours:6.2f} ms per frame, {1000 / ours:6.0f} frames a second\n"
        f"cv2.inRange  {floor:6.2f} ms per frame, {1000 / floor:6.0f} frames a second"
    )
    compare("bracket detector", ours, floor, against="one cv2.inRange", unit="ms a frame")


if __name__ == "__main__":
    main()
