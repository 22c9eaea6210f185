"""Three recalls: of marked targets, of the same targets with their marks erased, and of unmarked targets.

A model trained on marked targets may detect the marks, which scores on marked targets alone do not reveal.
Precision is meaningful only on complete frames, in which every object is boxed: elsewhere an apparent false
positive may be an unmarked target.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core.boxes import centres, xyxy
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.truth import COMPLETE_IGNORED
from gotowce_dagster.designators.erase import erase
from gotowce_dagster.designators.profile import AnyDesignator
from gotowce_dagster.evaluation.scoring import FALSE_POSITIVE, Case, matches, scores
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.model import Predict

SMALL_PX = 12
"""Targets whose longer side is below this are also matched by centre: an offset of one pixel can lower their
IoU to 0.5."""

APART = "apart"
_OUTSIDE = "frames outside training data"

RECALLS_ON_TOP = ("erased_recall", "unmarked_recall", "marked_recall", "precision", "AP50")
"""The headline figures, those without the mark first."""

LEAST_OF_MARKED = 0.9
"""If the recall without marks is below this share of the recall with marks, the model depends on marks."""

FindMarks = Callable[[np.ndarray], Sequence[tuple[np.ndarray, AnyDesignator]]]
"""Detects the marks of an image: box (xyxy) and designator of each."""

UNMEASURED = (
    "Recall of unmarked targets and precision are unmeasured: no frame has complete truth. Make 20 frames of "
    "it in about ten minutes: run `gotowce mark VIDEO --complete --count 20`, box every object on the page, "
    "save, and run `gotowce add VIDEO --truth FILE`; or let reviewers box every target and run "
    "`gotowce review pull --complete`; see docs/training.md"
)


def none_found(recalls: Mapping[str, float]) -> str | None:
    """What to do about a model that finds no marked target at all; None if it finds one.

    Args:
        recalls: of all frames, as from figures_by_group.
    """
    if recalls.get("marked_recall", 1) or recalls.get("erased_recall", 0):
        return None
    return (
        f"The model finds none of the {int(recalls['marked_targets'])} marked targets, with their marks or "
        "without: compare how many objects it was trained on (train_objects of yolo_dataset); add videos, "
        "sample more frames (extracted_frames.fps), or train for more epochs (finetuned_model.epochs)"
    )


@dataclass(frozen=True, eq=False)
class Seen:
    """The model's predictions for one frame with ground truth."""

    profile: str
    marked: Case | None = None
    """Its marked targets, frame unmodified; None without any."""
    erased: Case | None = None
    """The same targets with all marks erased."""
    complete: Case | None = None
    """All its targets, if every object in it is boxed."""
    is_marked: np.ndarray | None = None
    """bool (targets,) of ``complete``: whether each has a mark."""
    not_erased: int = 0
    """Number of its marked targets of which no mark was found, if it is complete: in none of the recalls."""
    adopted: Case | None = None
    """The same truth, with the boxes that training in rounds would adopt as labels in this frame."""


def look(
    video: str,
    profile: str,
    images: Mapping[int, np.ndarray],
    *,
    objects: Mapping[int, np.ndarray],
    complete: pd.DataFrame,
    find_marks: FindMarks,
    predict: Predict,
    adopt: Predict | None = None,
) -> list[Seen]:
    """Run the model on frames with ground truth, unmodified and with their marks erased.

    Args:
        images: RGB uint8 (H, W, 3) by frame_index.
        objects: xyxy (n, 4) of the marked targets by frame_index; used if a frame is not complete.
        complete: columns of truth.read_complete_truth.
        find_marks: detects marks; a marked target near which there is none is in no recall.
        adopt: finds the boxes of an image, without its marks, that training in rounds would adopt as labels;
            asked about complete frames only.
    """
    seen = []
    for index, image in images.items():
        rows = complete[complete["frame_index"] == index]
        targets = rows[~rows["label"].isin([*COMPLETE_IGNORED, "none"])]
        ignored = xyxy(rows[rows["label"].isin(COMPLETE_IGNORED)])
        is_marked = (targets["marked"] == "yes").to_numpy()
        boxes = xyxy(targets)
        marked = boxes[is_marked] if len(rows) else objects.get(index, np.zeros((0, 4)))
        found = predict(image)
        as_is, without, adopted = None, None, None
        unmarked_image, not_erased = image, 0
        if len(marked):
            marks = find_marks(image)
            erased = erase(image, marks, _filled(image.shape[:2], marked))
            is_erased = _has_mark(marked, [box for box, _ in marks if _is_painted(erased.painted, box)])
            not_erased = int(np.count_nonzero(~is_erased)) if len(rows) else 0
            if is_erased.any():
                as_is = Case(video, index, found, from_boxes(marked[is_erased]))
                without = Case(video, index, predict(erased.image), from_boxes(marked[is_erased]))
                unmarked_image = erased.image
        whole = Case(video, index, found, from_boxes(boxes), ignored) if len(rows) else None
        if whole and adopt:
            adopted = replace(whole, found=adopt(unmarked_image))
        if as_is or whole:
            known = is_marked if whole else None
            seen.append(Seen(profile, as_is, without, whole, known, not_erased, adopted))
    return seen


def look_at_test_split(dataset: Path, provenance: pd.DataFrame, predict: Predict) -> list[Seen]:
    """Run the model on the test split's marked frames and on their copies without marks."""
    rows = provenance[provenance["split"] == "test"]
    seen = []
    for row in rows[rows["kind"] == "erased"].to_dict("records"):
        as_is = rows[
            (rows["video"] == row["video"])
            & (rows["frame_index"] == row["frame_index"])
            & (rows["kind"] == "as-is")
        ].iloc[0]
        picture, objects = read_objects(dataset, as_is["image"])
        key = (row["video"], row["frame_index"])
        twin = read_rgb(dataset / row["image"])
        seen.append(
            Seen(row["profile"], Case(*key, predict(picture), objects), Case(*key, predict(twin), objects))
        )
    return seen


def figures(seen: Iterable[Seen], confidence: float) -> dict[str, float]:
    """Compute the three recalls at IoU 0.5, precision and AP50; figures without data are left out.

    Args:
        confidence: boxes below it count for AP50 only.

    Returns:
        marked_targets, marked_recall, erased_recall, erased_over_marked, not_erased (see Seen);
        complete_frames, unmarked_targets, unmarked_recall, precision, AP50; classes are not compared. For
        targets below SMALL_PX the recalls again, matched by IoU or by centre, as ``small_..._recall`` and
        ``small_..._recall_by_centre``, with their number. If asked for, the number of boxes that training in
        rounds would adopt in complete frames, ``adopted``, and how many of them are targets,
        ``adopted_right``.
    """
    seen = list(seen)
    result: dict[str, float] = {}
    if not_erased := sum(one.not_erased for one in seen):
        result["not_erased"] = not_erased
    pairs = [(one.marked, one.erased) for one in seen if one.marked and one.erased]
    if pairs:
        marked, erased = (_Found.of(cases, confidence) for cases in zip(*pairs, strict=True))
        result |= {"marked_targets": len(marked.by_iou)}
        result |= {"marked_recall": marked.recall(), "erased_recall": erased.recall()}
        if result["marked_recall"]:
            result["erased_over_marked"] = result["erased_recall"] / result["marked_recall"]
        result |= marked.small("marked") | erased.small("erased")
    complete = [
        (one.complete, one.is_marked)
        for one in seen
        if one.complete is not None and one.is_marked is not None
    ]
    if complete:
        cases = [case for case, _ in complete]
        is_marked = np.concatenate([marked for _, marked in complete])
        unmarked = _Found.of(cases, confidence).only(~is_marked)
        result |= {"complete_frames": len(cases), "unmarked_targets": len(unmarked.by_iou)}
        if len(unmarked.by_iou):
            result |= {"unmarked_recall": unmarked.recall()} | unmarked.small("unmarked")
        match = np.concatenate([matches(case.surer_than(confidence), 0.5) for case in cases])
        right, wrong = int((match >= 0).sum()), int((match == FALSE_POSITIVE).sum())
        if right + wrong:
            result["precision"] = right / (right + wrong)
        average = scores(cases, confidence=confidence).get("mAP50")
        if average is not None:
            result["AP50"] = average
    return result | _adopted(seen)


def _adopted(seen: Iterable[Seen]) -> dict[str, float]:
    """Counts of the boxes to adopt, without those on marked targets, which are labels already."""
    total, right = 0, 0
    asked = [(one.adopted, one.is_marked) for one in seen if one.adopted and one.is_marked is not None]
    for case, is_marked in asked:
        match = matches(case, 0.5)
        on_target = match[match >= 0]
        new = int(np.count_nonzero(~is_marked[on_target]))
        right += new
        total += new + int(np.count_nonzero(match == FALSE_POSITIVE))
    return {"adopted": total, "adopted_right": right} if asked else {}


def figures_by_group(
    seen: Sequence[Seen], seen_apart: Sequence[Seen], confidence: float
) -> dict[str, dict[str, float]]:
    """Compute the figures of ``all`` frames, of those ``apart`` from training data, and of each profile.

    With several profiles, those of each one's frames apart from training data too, as ``PROFILE apart``.
    """
    groups = {"all": figures(seen, confidence), APART: figures(seen_apart, confidence)}
    profiles = sorted({one.profile for one in seen})
    for profile in profiles:
        groups[profile] = figures([one for one in seen if one.profile == profile], confidence)
        if len(profiles) > 1:
            own = [one for one in seen_apart if one.profile == profile]
            groups[f"{profile} {APART}"] = figures(own, confidence)
    return groups


def group_title(group: str) -> str:
    """Describe a group of figures_by_group."""
    if group in ("all", APART):
        return {"all": "all frames", APART: _OUTSIDE}[group]
    profile, space, apart = group.rpartition(" ")
    return f"{profile}, {_OUTSIDE}" if space and apart == APART else group


def found_truths(case: Case, confidence: float, by_centre: bool = False) -> np.ndarray:
    """Determine which ground truth boxes a prediction above ``confidence`` matches at IoU 0.5.

    Args:
        by_centre: a target below SMALL_PX also counts as matched by a box of half to twice its longer side
            whose centre is at most half that side away; each box matches one target.

    Returns:
        bool (ground truth boxes,).
    """
    sure = case.surer_than(confidence)
    found = np.zeros(len(case.truth), bool)
    match = matches(sure, 0.5)
    found[match[match >= 0]] = True
    if by_centre:
        left = np.flatnonzero(~found)
        truth, boxes = case.truth.xyxy[left], sure.found.xyxy[match < 0]
        side, own = _long_sides(truth)[:, None], _long_sides(boxes)
        apart = np.linalg.norm(centres(truth)[:, None] - centres(boxes), axis=2)
        fits = (side < SMALL_PX) & (apart <= side / 2) & (own <= 2 * side) & (own >= side / 2)
        rows, columns = linear_sum_assignment(fits, maximize=True)
        found[left[rows[fits[rows, columns]]]] = True
    return found


@dataclass(frozen=True, eq=False)
class _Found:
    """Whether each ground truth box of some cases was matched; all bool (ground truth boxes,)."""

    by_iou: np.ndarray
    by_centre: np.ndarray
    is_small: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Case], confidence: float) -> "_Found":
        sides = [_long_sides(case.truth.xyxy) for case in cases]
        return cls(
            np.concatenate([found_truths(case, confidence) for case in cases]),
            np.concatenate([found_truths(case, confidence, by_centre=True) for case in cases]),
            np.concatenate(sides) < SMALL_PX,
        )

    def only(self, which: np.ndarray) -> "_Found":
        return _Found(self.by_iou[which], self.by_centre[which], self.is_small[which])

    def recall(self) -> float:
        return float(self.by_iou.mean())

    def small(self, name: str) -> dict[str, float]:
        """Figures of small targets only; empty if there are none."""
        if not self.is_small.any():
            return {}
        return {
            f"small_{name}_targets": int(self.is_small.sum()),
            f"small_{name}_recall": float(self.by_iou[self.is_small].mean()),
            f"small_{name}_recall_by_centre": float(self.by_centre[self.is_small].mean()),
        }


def _long_sides(boxes: np.ndarray) -> np.ndarray:
    """Longer side of each box xyxy (n, 4), in pixels (n,)."""
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)


def _has_mark(targets: np.ndarray, marks: Sequence[np.ndarray]) -> np.ndarray:
    """Whether each target has a mark, bool (n,): around it, or no further from it than its longer side.

    A mark belongs to one target, so that the sum of the distances of their centres is smallest.
    """
    boxes = np.array(marks, float).reshape(-1, 4)
    between = np.maximum(targets[:, None, :2] - boxes[:, 2:], boxes[:, :2] - targets[:, None, 2:]).max(axis=2)
    fits = between <= _long_sides(targets)[:, None]
    apart = np.linalg.norm(centres(targets)[:, None] - centres(boxes), axis=2)
    rows, columns = linear_sum_assignment(np.where(fits, apart, apart.sum() + 1))
    result = np.zeros(len(targets), bool)
    result[rows] = fits[rows, columns]
    return result


def _is_painted(painted: np.ndarray, box: np.ndarray) -> bool:
    """Whether pixels of a mark were painted over."""
    x1, y1, x2, y2 = np.round(box).astype(int).clip(0)
    return bool(painted[y1:y2, x1:x2].any())


def _filled(shape: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
    """Mask of the pixels inside the boxes, bool (H, W)."""
    mask = np.zeros(shape, bool)
    for x1, y1, x2, y2 in np.round(boxes).astype(int).clip(0):
        mask[y1:y2, x1:x2] = True
    return mask
