"""Accuracy of the bracket detector on footage with ground truth.

    python -m benchmarks.designator_accuracy FOOTAGE_FOLDER [--draws 20]

Calibrates a profile for each clip from at most 5 of its boxes and scores it on all other rows. Then, to
measure the dependence on the choice of boxes, calibrates from random draws of 3 to 5 boxes, with each edge
off by up to 2 pixels, and scores on all rows that were not drawn. Clips with the same prefix (`naev_`) are of
one game; all its profiles together, and each alone, run on 300 frames of its clips without a designator.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.designators.corners import learn
from gotowce_dagster.designators.examples import MIN_EXAMPLES, Example
from gotowce_dagster.designators.profile import Designator, Profile
from gotowce_dagster.detectors.local.bracket import Bracket
from gotowce_dagster.video.decode import probe, read_frames

BOXES, NEGATIVE_FRAMES, MIN_CONFIDENCE = 5, 300, 0.5
Images = Mapping[tuple[str, int], np.ndarray]


@dataclass
class Score:
    """Counts over frames."""

    ious: list[float] = field(default_factory=list)
    """Best IoU with a detection for every ground truth box; 0 for a false negative."""
    wrong: int = 0
    """False positives at IoU 0.5."""
    on_empty: int = 0
    """False positives in frames without a designator."""

    def add(self, found: sv.Detections, truth: np.ndarray) -> None:
        iou = sv.box_iou_batch(truth, found.xyxy) if len(truth) and len(found) else np.zeros((len(truth), 0))
        self.ious += iou.max(axis=1, initial=0).tolist()
        self.wrong += int((iou.max(axis=0, initial=0) < 0.5).sum()) if len(truth) else len(found)
        self.on_empty += 0 if len(truth) else len(found)

    def row(self) -> str:
        ious = np.array(self.ious)
        if not len(ious):
            return f"no rows left; wrong {self.wrong}"
        right = int((ious >= 0.5).sum())
        precision = right / max(right + self.wrong, 1)
        hits = ious[ious >= 0.5]
        return (
            f"rows {len(ious):3d}  recall {right / len(ious):.3f}  precision {precision:.3f}  "
            f"mean IoU {hits.mean() if len(hits) else 0:.3f}  "
            f"IoU >= 0.75: {(ious >= 0.75).mean():.3f}  on empty frames {self.on_empty}"
        )


def truth_images(folder: Path, truth: pd.DataFrame) -> Images:
    """Read the frames with ground truth, RGB by (clip, frame_index)."""
    return {
        (str(clip), frame.index): frame.rgb()
        for clip, rows in truth.groupby("clip")
        for frame in read_frames(folder / str(clip), set(rows["frame_index"]))
    }


def spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Select evenly spaced rows."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))]


def learned(rows: pd.DataFrame, images: Images, name: str, noise: np.ndarray | None = None) -> Designator:
    boxes = xyxy(rows)
    boxes = boxes if noise is None else boxes + noise
    keys = zip(rows["clip"], rows["frame_index"], strict=True)
    return learn([Example(k[1], images[k], box) for k, box in zip(keys, boxes, strict=True)], name, "ship")


def detect(profile: Profile, images: Iterable[np.ndarray]) -> Iterator[sv.Detections]:
    detector = Bracket(profile)
    for image in images:
        found = detector.detect([image])[0]
        sure = found[np.asarray(found.confidence) >= MIN_CONFIDENCE]
        assert isinstance(sure, sv.Detections)
        yield sure


def score(designator: Designator, rows: pd.DataFrame, images: Images) -> Score:
    """Score on the ``designator`` and ``none`` rows; frames with a partial one are left out."""
    result = Score()
    partial = set(rows.loc[rows["label"].eq("designator_partial"), "frame_index"])
    rows = rows[rows["label"].isin(("designator", "none")) & ~rows["frame_index"].isin(partial)]
    profile = Profile(name="learned", designators=(designator,))
    for (clip, frame_index), group in rows.groupby(["clip", "frame_index"]):
        truth = group.loc[group["label"].eq("designator"), BOX].to_numpy(float)
        for found in detect(profile, [images[str(clip), int(frame_index)]]):
            result.add(found, truth)
    return result


def without(rows: pd.DataFrame, used: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["frame_index"].isin(used["frame_index"])]


def evaluate(clip: str, rows: pd.DataFrame, images: Images, draws: int) -> Designator:
    """Print the scores of one clip; return the designator learned from evenly spaced boxes."""
    full = rows[rows["label"].eq("designator")]
    used = spread(full, BOXES)
    designator = learned(used, images, clip.split(".", maxsplit=1)[0])
    print(f"\n{clip}: learned from {len(used)} of {len(full)} boxes, sides {_sides(full)} px")
    print("  other rows   ", score(designator, without(rows, used), images).row())
    print("  learned rows ", score(designator, used, images).row())
    partial = rows[rows["label"].eq("designator_partial")]
    if len(partial):
        boxes = partial.assign(label="designator")
        print("  partial      ", score(designator, boxes, images).row())
    generator = np.random.default_rng(1)
    pooled, worst = Score(), 1.0
    for _ in range(draws):
        count = int(generator.integers(MIN_EXAMPLES, BOXES + 1))
        drawn = full.sample(min(count, len(full)), random_state=generator)
        noise = generator.integers(-2, 3, (len(drawn), 4))
        rest = without(rows, drawn) if len(full) > BOXES else rows
        result = score(learned(drawn, images, "draw", noise), rest, images)
        pooled.ious += result.ious
        pooled.wrong += result.wrong
        pooled.on_empty += result.on_empty
        worst = min(worst, float(np.mean(np.array(result.ious) >= 0.5)))
    if draws:
        print(f"  {draws} draws     ", pooled.row(), f" worst recall {worst:.3f}")
    return designator


def _sides(rows: pd.DataFrame) -> str:
    side = rows["x2"] - rows["x1"]
    return f"{side.min():.0f}-{side.max():.0f}"


def on_negatives(folder: Path, clips: Sequence[str], designators: Sequence[Designator]) -> None:
    """Count detections in clips without a designator, for all designators together and for each alone."""
    groups = [designators, *([d] for d in designators if len(designators) > 1)]
    for clip in clips:
        count = probe(folder / clip).frames
        wanted = set(np.linspace(0, count - 1, NEGATIVE_FRAMES).round().astype(int).tolist())
        detectors = [Bracket(Profile(name="game", designators=tuple(group))) for group in groups]
        false, highest = np.zeros(len(groups), int), np.zeros(len(groups))
        for frame in read_frames(folder / clip, wanted):
            image = frame.rgb()
            for i, detector in enumerate(detectors):
                confidence = np.asarray(detector.detect([image])[0].confidence)
                false[i] += (confidence >= MIN_CONFIDENCE).sum()
                highest[i] = max(highest[i], confidence.max(initial=0))
        for group, found, top in zip(groups, false, highest, strict=True):
            names = "+".join(d.name for d in group)
            print(f"{clip}, {len(wanted)} frames, {names}: {found} detections, highest confidence {top:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="clips and their truth.csv")
    parser.add_argument("--draws", type=int, default=20, help="random draws of boxes per clip")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    truth = read_truth(arguments.folder / "truth.csv")
    images = truth_images(arguments.folder, truth)
    learned_from: dict[str, Designator] = {}
    negatives = []
    for clip, rows in truth.groupby("clip"):
        boxes = rows["label"].eq("designator").sum()
        if boxes >= MIN_EXAMPLES:
            learned_from[str(clip)] = evaluate(str(clip), rows, images, arguments.draws)
        elif rows["label"].eq("none").all():
            negatives.append(str(clip))
    print()
    for clip in negatives:
        game = clip.split("_")[0]
        on_negatives(arguments.folder, [clip], [d for c, d in learned_from.items() if c.startswith(game)])


if __name__ == "__main__":
    main()
