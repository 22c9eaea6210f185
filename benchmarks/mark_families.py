"""Accuracy of every family of marks on scenes with exact truth, seeds that nothing was tuned on.

    python -m benchmarks.mark_families [--seeds 100,101,102] [--only radial] [--frames 40] [--empty 150]

For each variant and seed: five examples of an encoded scene, the family chosen from them, scores on all other
frames, and findings in the same scene without marks. Processor time a frame is this process's own. Beside it,
as "template": the time of cv2.matchTemplate with one example's mark at SIZES sizes, and the share of frames
in which its best place is at a mark. The present bracket is the row of corners.
"""

import argparse
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.designators.choose import candidates
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.profile import AnyDesignator
from gotowce_dagster.designators.sightings import SURE, marks
from tests.marks_scenes import VARIANTS, MarkScene, decoded, examples_at

SIZES = (0.75, 1.0, 1.33)
"""Sizes of a template in sizes of the example it is cut from."""
DIFFICULTIES = ("turning", "pulsing", "lock", "text", "clutter")


@dataclass
class Score:
    """Counts over the frames of several scenes."""

    ious: list[float] = field(default_factory=list)
    """Of every whole mark with the best finding; 0 where nothing was found."""
    off: list[float] = field(default_factory=list)
    """Distance of the centres of found marks over the mark's longer side."""
    wrong: int = 0
    empty: int = 0
    empty_frames: int = 0
    frames: int = 0
    seconds: float = 0.0
    learn_seconds: list[float] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    template_seconds: float = 0.0
    template_frames: int = 0
    template_hits: int = 0

    def row(self) -> str:
        ious = np.array(self.ious)
        hits = ious >= 0.5
        right = int(hits.sum())
        return (
            f"n {len(ious):4d}  P {right / max(right + self.wrong, 1):.3f}  R {hits.mean():.3f}  "
            f"IoU {ious[hits].mean() if right else 0:.3f}  centre {np.mean(self.off or [0]):.3f}  "
            f"empty {self.empty}/{self.empty_frames}  {1000 * self.seconds / max(self.frames, 1):5.1f} ms  "
            f"learn {max(self.learn_seconds, default=0):4.1f} s  "
            f"template {1000 * self.template_seconds / max(self.template_frames, 1):5.1f} ms "
            f"R {self.template_hits / max(self.template_frames, 1):.2f}  "
            f"{','.join(sorted(set(self.families)))}"
        )


def best_match(image: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Where a template is found best by cv2.matchTemplate, at any of SIZES: float (4,) xyxy."""
    best, box = -np.inf, np.zeros(4)
    for size in SIZES:
        scaled = cv2.resize(template, None, fx=size, fy=size)
        _, value, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(image, scaled, cv2.TM_CCOEFF_NORMED))
        if value > best:
            best, box = value, np.array([x, y, x + scaled.shape[1], y + scaled.shape[0]], float)
    return box


def run_template(scene: MarkScene, score: Score, images: Sequence[np.ndarray], first: Example) -> None:
    """The same scene by template matching, every fifth frame with a whole mark."""
    x1, y1, x2, y2 = np.round(first.box).astype(int)
    template = first.image[y1:y2, x1:x2]
    for index in range(1, scene.frames, 5):
        whole = np.array([d.mark for d in scene.truth(index) if d.whole]).reshape(-1, 4)
        if index == first.frame_index or not len(whole):
            continue
        start = time.process_time()
        found = best_match(images[index], template)
        score.template_seconds += time.process_time() - start
        score.template_frames += 1
        score.template_hits += int(sv.box_iou_batch(whole, found[None]).max() >= 0.5)


def run(scene: MarkScene, score: Score, folder: Path, empty_frames: int) -> None:
    images = decoded(scene, folder)
    chosen = examples_at(scene)
    examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]
    run_template(scene, score, images, examples[0])
    others = [images[i] for i in range(2, scene.frames, 7) if i not in chosen]
    start = time.process_time()
    found = candidates(examples, "mark", "ship", others)
    score.learn_seconds.append(time.process_time() - start)
    if not found:
        score.families.append("none")
        score.ious += [0.0 for i in range(scene.frames) if i not in chosen for d in scene.truth(i) if d.whole]
        return
    designator = found[0].designator
    score.families.append(getattr(designator, "shape", designator.family))
    score_marks(scene, score, images, designator, chosen)
    empty = replace(scene, shown=False, frames=empty_frames)
    for image in decoded(empty, folder):
        score.empty += len(marks(to_ycrcb(image), designator, SURE))
        score.empty_frames += 1


def score_marks(
    scene: MarkScene,
    score: Score,
    images: Sequence[np.ndarray],
    designator: AnyDesignator,
    skipped: Collection[int] = (),
) -> None:
    """Compare what a designator finds in a scene's frames with the truth, without those in ``skipped``."""
    for index, image in enumerate(images):
        if index in skipped:
            continue
        start = time.process_time()
        seen = marks(to_ycrcb(image), designator, SURE)
        score.seconds += time.process_time() - start
        score.frames += 1
        truth = scene.truth(index)
        boxes = np.array([s.box for s in seen]).reshape(-1, 4)
        every = np.array([d.mark for d in truth]).reshape(-1, 4)
        iou = (
            sv.box_iou_batch(every, boxes)
            if len(every) and len(boxes)
            else np.zeros((len(every), len(boxes)))
        )
        for row, drawn in zip(iou, truth, strict=True):
            if drawn.whole:
                score.ious.append(float(row.max(initial=0)))
                if row.max(initial=0) >= 0.5:
                    box = boxes[row.argmax()]
                    apart = np.hypot(*((box[:2] + box[2:]) / 2 - (drawn.mark[:2] + drawn.mark[2:]) / 2))
                    score.off.append(float(apart / (drawn.mark[2:] - drawn.mark[:2]).max()))
        # A finding at a partly hidden mark is neither right nor wrong.
        partial = [k for k, d in enumerate(truth) if not d.whole]
        near = iou[partial].max(axis=0, initial=0) > 0.2 if partial else np.zeros(len(boxes), bool)
        score.wrong += int(((iou.max(axis=0, initial=0) < 0.5) & ~near).sum())


def scenes_of(
    family: str, variant: str, seed: int, frames: int, size: tuple[int, int] = (1280, 720)
) -> MarkScene:
    """A scene whose difficulties follow from the seed."""
    rng = np.random.default_rng([seed, 3])
    flags = rng.random(6)
    return MarkScene(
        family,
        variant,
        seed=seed,
        frames=frames,
        size=size,
        marks=1 + int(flags[0] < 0.35),
        turning=bool(flags[1] < 0.5),
        pulsing=bool(flags[2] < 0.4),
        lock=bool(flags[3] < 0.25),
        text=bool(flags[4] < 0.3 and family in ("corners", "frame", "radial")),
        clutter=bool(flags[5] < 0.6),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="100,101,102")
    parser.add_argument("--only", default="")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument(
        "--empty", type=int, help="frames without marks a seed; as many as --frames if left out"
    )
    parser.add_argument("--each", action="store_true", help="a row a seed as well")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    for family, variants in VARIANTS.items():
        for variant in variants:
            if options.only and options.only not in (family, variant):
                continue
            total = Score()
            for seed in map(int, options.seeds.split(",")):
                one = Score()
                with tempfile.TemporaryDirectory() as folder:
                    scene = scenes_of(family, variant, seed, options.frames)
                    run(scene, one, Path(folder), options.empty or options.frames)
                if options.each:
                    flags = [f for f in DIFFICULTIES if getattr(scene, f)]
                    print(f"   {variant:13s} {seed} {one.row()}  {' '.join(flags)}", flush=True)
                for name, value in vars(one).items():
                    setattr(total, name, getattr(total, name) + value)
            print(f"{family:8s} {variant:13s} {total.row()}", flush=True)


if __name__ == "__main__":
    main()
