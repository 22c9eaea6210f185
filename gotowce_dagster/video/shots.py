"""Shot detection.

PySceneDetect's detectors were tried on the same small luma images: they cost a third of decoding and, in a
space fight, report laser flashes and the jump after a recording stall as cuts. Here a cut must also last (the
frames two steps later differ as much) and change the structure, not only the brightness.
"""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

_WINDOW = 5
"""Number of frames used to detect a cut at the middle one."""


@dataclass
class ShotCutter:
    """Detects cuts in a stream of small luma images, two frames after they happen."""

    min_change: float
    """Minimum mean difference of luma across a cut, in levels of 255."""
    ratio: float
    """Minimum ratio of a cut's change to the steps around it, as in PySceneDetect's AdaptiveDetector."""
    max_similarity: float
    """Maximum correlation of structure across a cut: 1 for equal images, whatever their brightness."""
    cuts: list[int] = field(default_factory=list)
    """Indices of the frames that start a new shot."""
    head: list[tuple[int, np.ndarray]] = field(default_factory=list)
    """The first frames, which can share a window with frames of the previous span."""
    _frames: deque[tuple[int, np.ndarray]] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _steps: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW - 1))

    def add(self, index: int, small: np.ndarray) -> None:
        """Add the next frame: its index and its luma, uint8 (h, w)."""
        if self._frames:
            before = self._frames[-1][1]
            if before.shape != small.shape:  # the frame size changed
                self.cuts.append(index)
                self._frames.clear()
                self._steps.clear()
            else:
                self._steps.append(_difference(before, small))
        self._frames.append((index, small))
        if len(self.head) < _WINDOW - 1:
            self.head.append((index, small))
        if len(self._frames) == self._frames.maxlen and self._is_cut():
            self.cuts.append(self._frames[2][0])

    def cuts_up_to(self, after: "ShotCutter") -> list[int]:
        """Detect cuts where the frames of this cutter meet those of the next, which neither of them saw."""
        bridge = ShotCutter(self.min_change, self.ratio, self.max_similarity)
        for index, small in [*list(self._frames)[1 - _WINDOW :], *after.head]:
            bridge.add(index, small)
        return bridge.cuts

    def _is_cut(self) -> bool:
        """Whether the middle one of five frames starts a new shot."""
        before, step, *after = self._steps
        if step < self.min_change or step < self.ratio * max(before, *after):
            return False
        (_, first), (_, second), (_, middle), _, (_, last) = self._frames
        return all(
            _difference(old, new) >= self.min_change and _similarity(old, new) <= self.max_similarity
            for old, new in ((second, middle), (second, last), (first, last))
        )


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return cv2.norm(one, other, cv2.NORM_L1) / one.size


def _similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(cv2.matchTemplate(one, other, cv2.TM_CCOEFF_NORMED)[0, 0])
