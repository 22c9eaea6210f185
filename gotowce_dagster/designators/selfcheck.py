"""What to expect of a designator just learned: it runs on frames of the video that nobody marked.

Nothing is known of these frames, so nothing here is accuracy. Findings are sorted into sure, doubtful and
suspicious ones, and the frames are named in which one more box would teach the most.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv

from gotowce_dagster.designators.base import Sighting
from gotowce_dagster.designators.bracket import STILL
from gotowce_dagster.designators.choose import Candidate
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.examples import Shown
from gotowce_dagster.designators.hud import still
from gotowce_dagster.designators.sightings import SURE, marks

_CLEAR = 0.8
"""Confidence from which a finding is sure."""
_AT_EXAMPLE = 0.5
"""IoU with an example from which what stands still is the mark."""
_SHOWN = 0.25
"""Confidence from which a finding is worth looking at."""


Place = tuple[str, int]
"""A frame: the name of its video file, and its frame_index."""


@dataclass(frozen=True, eq=False)
class Finding:
    """A mark found in an unseen frame."""

    shown: Shown
    """The frame."""
    box: np.ndarray
    """float (4,) xyxy."""
    confidence: float
    kind: str
    """``sure``, ``doubtful``, or ``suspicious``: it stands still while marks move, at no example's place, or
    is one of too many."""


@dataclass(frozen=True, eq=False)
class SelfCheck:
    """How a designator does on unseen frames."""

    candidate: Candidate
    examples: int
    frames: int
    """Unseen frames that were looked at."""
    frames_with: int
    """Of these, frames with a sure finding."""
    findings: Sequence[Finding]
    proposed: Sequence[Place]
    """Frames in which one more box would help most."""
    empty: int = 0
    """Frames in which a human saw no mark; they count among ``frames``."""

    def count(self, kind: str) -> int:
        """How many findings are of a kind."""
        return sum(finding.kind == kind for finding in self.findings)

    @property
    def expectation(self) -> str:
        """One line of what to expect, and from what."""
        sure, doubtful, suspicious = (self.count(kind) for kind in ("sure", "doubtful", "suspicious"))
        candidate = self.candidate
        shape = getattr(candidate.designator, "shape", "")
        family = candidate.designator.family + (f" ({shape})" if shape else "")
        if family == "learned":
            family = "no family of marks fits, so the mark's own picture was learned"
        recall = f"{candidate.recall:.2f}"
        precision = f"{sure / max(sure + suspicious, 1):.2f}" if sure + suspicious else "unknown"
        return (
            f"{family}: expect recall about {recall} (its {self.examples} examples, mean IoU "
            f"{candidate.iou:.2f}) and precision about {precision} ({self.frames} unseen frames: {sure} "
            f"sure, {doubtful} doubtful, {suspicious} suspicious findings; {self.frames_with} frames with a "
            "sure one)"
        )

    @property
    def caution(self) -> str:
        """What may be wrong although nothing is suspicious; empty if nothing."""
        if self.candidate.designator.family != "learned" or self.empty:
            return ""
        return (
            "No frame is known to show no mark, so the picture may contain parts of targets and be found "
            "on targets without a mark: label a frame with such targets `none` (`Nothing here` on the page)"
        )


def self_check(
    candidate: Candidate,
    frames: Iterable[Shown],
    boxes: Sequence[np.ndarray],
    per_frame: float,
    *,
    seconds: float = 12,
    empty: Iterable[Shown] = (),
) -> SelfCheck:
    """Run a designator on unseen frames.

    Args:
        frames: frames without an example, of each video in its order.
        boxes: of the examples, float (4,) xyxy.
        per_frame: examples a frame.
        seconds: no further frame is looked at after so long.
        empty: frames in which a human found no mark: what is found there is suspicious.
    """
    deadline = time.process_time() + seconds
    seen: list[tuple[Shown, list[Sighting]]] = []
    known_empty = list(empty)
    for shown in [*known_empty, *frames]:
        seen.append((shown, marks(to_ycrcb(shown.image), candidate.designator, _SHOWN)))
        if time.process_time() > deadline:
            break
    standing = still([[s.box for s in found if s.confidence >= SURE] for _, found in seen], boxes)
    # Where a human drew a box is a mark, however long it stays: a target may keep pace with the camera.
    drawn = np.stack(boxes)
    standing = [place for place in standing if sv.box_iou_batch(place[None], drawn).max() < _AT_EXAMPLE]
    findings = []
    for place, (shown, found) in enumerate(seen):
        for rank, sighting in enumerate(found):
            odd = any(np.abs(sighting.box - box).max() <= STILL for box in standing)
            crowded = rank >= 3 * np.ceil(per_frame) + 1
            kind = "sure" if sighting.confidence >= _CLEAR else "doubtful"
            if sighting.confidence >= SURE and (odd or crowded or place < len(known_empty)):
                kind = "suspicious"
            findings.append(Finding(shown, sighting.box, sighting.confidence, kind))
    return SelfCheck(
        candidate=candidate,
        examples=len(boxes),
        frames=len(seen),
        frames_with=len({_place(f.shown) for f in findings if f.kind == "sure"}),
        findings=findings,
        proposed=_proposed(seen[len(known_empty) :], findings),
        empty=min(len(known_empty), len(seen)),
    )


def _place(shown: Shown) -> Place:
    return shown.clip, shown.frame_index


def _proposed(
    seen: Sequence[tuple[Shown, Sequence[Sighting]]], findings: Sequence[Finding], most: int = 3
) -> list[Place]:
    """The most doubtful frames, then those without any finding between frames with one."""
    doubtful = sorted((f for f in findings if f.kind != "sure"), key=lambda f: abs(f.confidence - SURE))
    order = [_place(finding.shown) for finding in doubtful]
    sure = {_place(finding.shown) for finding in findings if finding.kind == "sure"}
    for (before, _), (here, found), (after, _) in zip(seen, seen[1:], seen[2:], strict=False):
        if before.clip == after.clip and {_place(before), _place(after)} <= sure and not found:
            order.append(_place(here))
    return list(dict.fromkeys(order))[:most]
