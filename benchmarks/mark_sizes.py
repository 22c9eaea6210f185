"""Marks of other sizes than the examples', on screens of several resolutions, and several in a frame.

    python -m benchmarks.mark_sizes [--seeds 4006,4007] [--only corners] [--heights 720,2160] [--marks 1,3]

For each variant, seed, height and number of marks: five examples at zoom 1, then scores on clips of the same
scene at each zoom. A row sums up the seeds. Difficulties follow from the seed, as in mark_families.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from benchmarks.mark_families import Score, scenes_of, score_marks
from gotowce_dagster.designators.choose import candidates
from gotowce_dagster.designators.examples import Example
from tests.marks_scenes import VARIANTS, MarkScene, decoded, examples_at

ZOOMS = (0.5, 0.7, 1.0, 1.4, 2.0)


def run(scene: MarkScene, scores: dict[float, Score], folder: Path) -> None:
    """Learn from a scene at zoom 1 and add its scores at each zoom."""
    images, chosen = decoded(scene, folder), examples_at(scene)
    examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]
    found = candidates(examples, "mark", "ship", [images[i] for i in range(2, scene.frames, 7)])
    for zoom, score in scores.items():
        shown = replace(scene, zoom=zoom)
        if not found:
            score.ious += [0.0 for i in range(scene.frames) for d in shown.truth(i) if d.whole]
            continue
        designator = found[0].designator
        score.families.append(getattr(designator, "shape", designator.family))
        pictures = images if zoom == 1 else decoded(shown, folder)
        score_marks(shown, score, pictures, designator, chosen if zoom == 1 else ())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="4006,4007")
    parser.add_argument("--only", default="corners")
    parser.add_argument("--heights", default="720,1080,2160")
    parser.add_argument("--marks", default="1,3")
    parser.add_argument("--frames", type=int, default=20)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    cases = [(f, v) for f, variants in VARIANTS.items() for v in variants if options.only in ("", f, v)]
    for family, variant in cases:
        for height in map(int, options.heights.split(",")):
            for marks in map(int, options.marks.split(",")):
                scores = {zoom: Score() for zoom in ZOOMS}
                for seed in map(int, options.seeds.split(",")):
                    size = height * 16 // 9, height
                    scene = replace(scenes_of(family, variant, seed, options.frames, size), marks=marks)
                    with tempfile.TemporaryDirectory() as folder:
                        run(scene, scores, Path(folder))
                for zoom, score in scores.items():
                    row = score.row().split("  empty")[0]
                    time = 1000 * score.seconds / max(score.frames, 1)
                    kinds = ",".join(sorted(set(score.families)))
                    case = f"{variant:13s} {height:4d}p, {marks} marks, x{zoom:<4g}"
                    print(f"{case} {row}  {time:5.1f} ms  {kinds}", flush=True)


if __name__ == "__main__":
    main()
