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
from gotowce_dagster.designators.choose import SURE, Candidate, marks
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.hud import still

_CLEAR = 0.8
"""Confidence from which a finding is sure."""
_AT_EXAMPLE = 0.5
"""IoU with an example from which what stands still is the mark."""
_SHOWN = 0.25
"""Confidence from which a finding is worth looking at."""


@dataclass(frozen=True, eq=False)
class Finding:
    """A mark found in an unseen frame."""

    frame_index: int
    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
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
    proposed: Sequence[int]
    """Frames in which one more box would help most."""

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


def self_check(
    candidate: Candidate,
    frames: Iterable[tuple[int, np.ndarray]],
    boxes: Sequence[np.ndarray],
    per_frame: float,
    *,
    seconds: float = 12,
    empty: Iterable[tuple[int, np.ndarray]] = (),
) -> SelfCheck:
    """Run a designator on unseen frames.

    Args:
        frames: (frame_index, RGB uint8 (H, W, 3)).
        boxes: of the examples, float (4,) xyxy.
        per_frame: examples a frame.
        seconds: no further frame is looked at after so long.
        empty: frames in which a human found no mark, as ``frames``: what is found there is suspicious.
    """
    deadline = time.process_time() + seconds
    seen: list[tuple[int, np.ndarray, list[Sighting]]] = []
    known_empty = list(empty)
    for frame_index, image in [*known_empty, *frames]:
        seen.append((frame_index, image, marks(to_ycrcb(image), candidate.designator, _SHOWN)))
        if time.process_time() > deadline:
            break
    standing = still([[s.box for s in found if s.confidence >= SURE] for _, _, found in seen], boxes)
    # Where a human drew a box is a mark, however long it stays: a target may keep pace with the camera.
    drawn = np.stack(boxes)
    standing = [place for place in standing if sv.box_iou_batch(place[None], drawn).max() < _AT_EXAMPLE]
    findings = []
    for place, (frame_index, image, found) in enumerate(seen):
        for rank, sighting in enumerate(found):
            odd = any(np.abs(sighting.box - box).max() <= STILL for box in standing)
            crowded = rank >= 3 * np.ceil(per_frame) + 1
            kind = "sure" if sighting.confidence >= _CLEAR else "doubtful"
            if sighting.confidence >= SURE and (odd or crowded or place < len(known_empty)):
                kind = "suspicious"
            findings.append(Finding(frame_index, image, sighting.box, sighting.confidence, kind))
    return SelfCheck(
        candidate=candidate,
        examples=len(boxes),
        frames=len(seen),
        frames_with=len({f.frame_index for f in findings if f.kind == "sure"}),
        findings=findings,
        proposed=_proposed([(index, found) for index, _, found in seen[len(known_empty) :]], findings),
    )


def _proposed(
    seen: Sequence[tuple[int, Sequence[Sighting]]], findings: Sequence[Finding], most: int = 3
) -> list[int]:
    """The most doubtful frames, then those without any finding between frames with one."""
    doubtful = sorted((f for f in findings if f.kind != "sure"), key=lambda f: abs(f.confidence - SURE))
    order = [finding.frame_index for finding in doubtful]
    sure = {finding.frame_index for finding in findings if finding.kind == "sure"}
    for before, here, after in zip(seen, seen[1:], seen[2:], strict=False):
        if before[0] in sure and after[0] in sure and not here[1]:
            order.append(here[0])
    return list(dict.fromkeys(order))[:most]
