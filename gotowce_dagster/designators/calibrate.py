"""Calibrate: example boxes in, a profile with a designator and what to expect of it out.

Every family learns from the examples (choose.py); the best one learns where its targets stand
(relation.py) and is tried on frames without an example (selfcheck.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import supervision as sv

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.designators.arms import Search
from gotowce_dagster.designators.bracket import inset, marks_of
from gotowce_dagster.designators.choose import Candidate, candidates
from gotowce_dagster.designators.corners import SMALLEST, learn
from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from gotowce_dagster.designators.examples import Example, read_material
from gotowce_dagster.designators.measures import judge, measure
from gotowce_dagster.designators.profile import AnyDesignator, Designator, Profile
from gotowce_dagster.designators.relation import with_target
from gotowce_dagster.designators.selfcheck import SelfCheck, self_check
from gotowce_dagster.video.names import key_and_suffix

_WORTHLESS = 0.2
"""Score up to which a designator is rejected."""
_NEXT = (
    "Draw the boxes tight around the whole mark and nothing else, all around the same kind of mark, add two "
    "or three from frames with another background, and calibrate again"
)
_RECOGNISED = 0.5
"""An example is recognised from this confidence on, as by the ``bracket`` detector by default."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The fit of a learned designator to one of its own examples."""

    example: Example
    box: np.ndarray
    """float (4,): the box as the detector would give it."""
    confidence: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """A learned designator with its examples and checks."""

    profile: Profile
    designator: AnyDesignator
    fits: Sequence[Fit]
    check: SelfCheck | None = None
    """The check on unseen frames of the videos."""

    @property
    def recognised(self) -> int:
        """Number of its own examples that the detector finds with this designator."""
        return sum(fit.confidence >= _RECOGNISED for fit in self.fits)

    @property
    def notes(self) -> list[str]:
        """A sentence for each example that does not look like the others."""
        return [
            f"frame {fit.example.frame_index}: its mark is not recognised (confidence {fit.confidence:.2f}); "
            f"is the box of that frame right?"
            for fit in self.fits
            if fit.confidence < _RECOGNISED
        ]


def calibrate(
    video: Path | Sequence[Path],
    boxes: Path,
    *,
    profile_name: str,
    name: str = "target",
    class_name: str = "target",
    into: Profile | None = None,
) -> Calibration:
    """Learn a designator from boxes on a video and put it into a profile.

    Args:
        video: the video file, or several of one game.
        boxes: CSV with the columns of truth.read_truth; rows of other clips and labels are passed over.
        profile_name: name of a new profile.
        name: what the designator is called; one of that name in ``into`` is replaced.
        class_name: the class its target gets.
        into: a profile to add to, for a game with several marks.

    Raises:
        InputError: fewer than three boxes on these videos, frames that they do not have, or a mark that
            is recognised in none of its own examples by what any family learns from them.
    """
    clips = [video] if isinstance(video, Path) else list(video)
    material = read_material(clips, boxes)
    examples, drawn = material.examples, [example.box for example in material.examples]
    some = material.unseen[:: max(len(material.unseen) // 6, 1)]
    others, empty = ([shown.image for shown in frames] for frames in (some, material.empty))
    chosen = candidates(examples, name, class_name, others, empty=empty)
    if not chosen or chosen[0].score <= _WORTHLESS:
        raise InputError(f"{boxes}: {_why_none(examples, chosen)}; nothing is saved. {_NEXT}")
    best = chosen[0]
    designator = with_target(best.designator, drawn, material.targets)
    known = into or Profile(name=profile_name)
    keys = [key_and_suffix(clip.name)[0] for clip in clips]
    videos = (*known.videos, *(key for key in keys if not known.fits(key)))
    others_known = tuple(d for d in known.designators if d.name != name)
    profile = Profile(name=known.name, videos=videos, designators=(*others_known, designator))
    per_frame = len(examples) / len({id(example.image) for example in examples})
    check = self_check(best, material.unseen, drawn, per_frame, empty=material.empty)
    calibration = Calibration(profile, designator, [_fit(example, designator) for example in examples], check)
    if not calibration.recognised:
        raise InputError(f"{boxes}: {_why_none(examples, chosen)}; nothing is saved. {_NEXT}")
    return calibration


def _why_none(examples: Sequence[Example], chosen: Sequence[Candidate]) -> str:
    """The error message if no family recognises the examples."""
    if chosen:
        best = chosen[0]
        return (
            f"the best of what was learned ({best.designator.family}) finds {best.recall:.0%} of the "
            f"{len(examples)} examples and {best.elsewhere + best.unmarked:.0f} other places a frame: it "
            f"would match the scene's ground or HUD"
        )
    none = f"none of the {len(examples)} examples is recognised by any family"
    size = float(np.median([(example.box[2:] - example.box[:2]).max() for example in examples]))
    if size < SMALLEST:
        return f"{none}: the boxes are {size:.0f} pixels large, and a mark needs about {SMALLEST:.0f}"
    try:
        learn(examples, "mark", "target")
    except ValueError as error:
        return f"{none} ({error})"
    return none


def _fit(example: Example, designator: AnyDesignator) -> Fit:
    ycrcb = to_ycrcb(example.image)
    if not isinstance(designator, Designator):
        near = [
            (mark, float(sv.box_iou_batch(example.box[None], mark.box[None])[0, 0]))
            for mark in marks_of(ycrcb, designator, 0.05)
        ]
        mark, iou = max(near, key=lambda pair: pair[1], default=(None, 0.0))
        return (
            Fit(example, mark.box, mark.confidence) if mark and iou >= 0.3 else Fit(example, example.box, 0.0)
        )
    mask = mark_mask(ycrcb, designator)
    edges = example.box - designator.inset_px * np.array([1, 1, -1, -1])
    measured = measure(ycrcb, mask, edges, designator, Search.of(designator, mask.shape))
    return Fit(example, inset(measured.box, designator), judge(measured, designator))
