"""Input preparation: crops, tiles and scales of a frame, and detections mapped back to the frame.

supervision's InferenceSlicer also cuts tiles, but runs the model on one at a time and prefers a truncated box
with a higher confidence to the complete box beside it. Here all pieces of several frames go into one call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.config.detector_settings import InputSettings, TileSettings
from gotowce_dagster.core.boxes import centres
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.thresholds import automatic, thresholded
from gotowce_dagster.detectors.base import Detector, found


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a frame as the model's input."""

    image: np.ndarray
    """RGB uint8 (h, w, 3)."""
    box: np.ndarray
    """int (4,): xyxy of the part in pixels of the frame."""

    @property
    def scale(self) -> np.ndarray:
        """(2,): pixels of the piece per pixel of the frame, in x and y."""
        return np.array(self.image.shape[1::-1]) / (self.box[2:] - self.box[:2])

    def to_frame(self, xyxy: np.ndarray) -> np.ndarray:
        """Map boxes (n, 4) from pixels of the piece to pixels of the frame."""
        return xyxy / np.tile(self.scale, 2) + np.tile(self.box[:2], 2)

    def to_piece(self, xyxy: np.ndarray) -> np.ndarray:
        """Map boxes (n, 4) from pixels of the frame to pixels of the piece."""
        return (xyxy - np.tile(self.box[:2], 2)) * np.tile(self.scale, 2)


class InPieces:
    """Runs a detector on pieces of frames.

    Args:
        detector: runs on the pieces.
        settings: how frames are cropped, tiled and scaled.
        colours: the colours of the video's designators, for ``only_colours: profile`` and
            ``threshold: auto``.
        around: the detector of ``crop.around``, whose boxes are the centres of the crops.
    """

    def __init__(
        self,
        detector: Detector,
        settings: InputSettings,
        colours: Sequence[Colour] = (),
        around: Detector | None = None,
    ) -> None:
        self.name, self.version, self.cost = detector.name, detector.version, detector.cost
        self.weights = tuple(dict.fromkeys((*detector.weights, *(around.weights if around else ()))))
        self.inside = detector
        self._around = around
        self._settings = settings
        self._marks = colours

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        before = self.cost.frames, self.cost.seconds
        with self.cost.of(len(images)):
            # The inner detector counts frames and seconds too; they are part of these.
            seen = [None] * len(images) if self._around is None else self._around.detect(images)
            cut = self._cut(images, seen)
            answers = iter(self.inside.detect([piece.image for pieces in cut for piece in pieces]))
            joined = [join(pieces, [next(answers) for _ in pieces], self._settings.seam) for pieces in cut]
            self.cost.frames, self.cost.seconds = before
        for one, centre in zip(joined, seen, strict=True):
            if centre is not None:
                one.metadata = centre.metadata | one.metadata
        return joined

    def _cut(self, images: Sequence[np.ndarray], seen: Sequence[sv.Detections | None]) -> list[list[Piece]]:
        return [
            prepared(image, self._settings, self._marks, None if centre is None else centre.xyxy)
            for image, centre in zip(images, seen, strict=True)
        ]


def prepared(
    image: np.ndarray, settings: InputSettings, marks: Sequence[Colour], around: np.ndarray | None = None
) -> list[Piece]:
    """The pieces of a frame that a model sees; none if its marks have no colours to keep.

    Args:
        image: RGB uint8 (H, W, 3); not modified.
        marks: the colours of the video's designators, for ``only_colours: profile`` and ``threshold: auto``.
        around: xyxy (n, 4) in pixels, for ``crop.around``.
    """
    threshold = settings.threshold
    if threshold == "auto":
        threshold = automatic(image, marks)
        if threshold is None:
            return []
    shown = image if threshold is None else thresholded(image, threshold)
    colours = marks if settings.only_colours == "profile" else settings.only_colours
    return cut(shown, settings, colours, around)


def cut(
    image: np.ndarray,
    settings: InputSettings,
    colours: Sequence[Colour] | None = None,
    around: np.ndarray | None = None,
) -> list[Piece]:
    """Cut a frame into pieces.

    Args:
        image: RGB uint8 (H, W, 3); not modified.
        colours: pixels of other colours become black; None: keep all. An empty list gives no pieces.
        around: xyxy (n, 4) in pixels, for ``crop.around``.
    """
    if colours is not None:
        image = only_colours(image, colours)
    tiles = [tile for part in _parts(image, settings, around) for tile in _tiles(part, settings.tiles)]
    return [
        Piece(_enlarged(image[y1:y2, x1:x2], settings.scale), np.array([x1, y1, x2, y2]))
        for x1, y1, x2, y2 in tiles
        if colours is None or len(colours)
    ]


def join(pieces: Sequence[Piece], answers: Sequence[sv.Detections], seam: float) -> sv.Detections:
    """Merge the detections in the pieces of a frame.

    Of overlapping boxes of one class from different pieces (intersection over the smaller area above
    ``seam``), the most confident is kept. A box truncated by an inner edge of its piece comes last. The
    ``metadata["unanswered"]`` of the pieces is joined.
    """
    if not pieces:
        return found(np.empty((0, 4)), np.empty(0), [], [])
    edges = np.array([piece.box for piece in pieces])
    outer = np.concatenate([edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)])
    places = np.repeat(np.arange(len(pieces)), [len(answer) for answer in answers])
    xyxy = np.concatenate([p.to_frame(a.xyxy) for p, a in zip(pieces, answers, strict=True)])
    confidence = np.concatenate([np.asarray(answer.confidence, float) for answer in answers])
    names = np.concatenate([answer.data["class_name"] for answer in answers]).astype(str)
    prompts = np.concatenate([answer.data["prompt"] for answer in answers]).astype(str)

    ends = (np.abs(xyxy - edges[places]) < 2) & (np.abs(edges[places] - outer) >= 2)
    order = np.lexsort((-confidence, ends.any(axis=1)))
    shared = sv.box_iou_batch(xyxy, xyxy, sv.OverlapMetric.IOS) > seam
    same = shared & (places[:, None] != places) & (names[:, None] == names)
    kept: list[int] = []
    for row in order.tolist():
        if not same[row, kept].any():
            kept.append(row)
    joined = found(xyxy[kept], confidence[kept], names[kept].tolist(), prompts[kept].tolist())
    why = dict.fromkeys(str(a.metadata["unanswered"]) for a in answers if "unanswered" in a.metadata)
    if why:
        joined.metadata["unanswered"] = "; ".join(why)
    return joined


def only_colours(image: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """A copy of an RGB image in which pixels of all other colours are black."""
    ycrcb = to_ycrcb(image)
    kept = np.zeros(image.shape[:2], bool)
    for colour in colours:
        kept |= cv2.inRange(ycrcb, *(np.array(bound) for bound in colour.bounds)) > 0
    return image * kept[:, :, None]


def _parts(image: np.ndarray, settings: InputSettings, around: np.ndarray | None) -> list[np.ndarray]:
    """The crops as xyxy int (4,), in pixels."""
    height, width = image.shape[:2]
    size = np.array([width, height, width, height])
    if settings.crop is None:
        return [size * [0, 0, 1, 1]]
    if settings.crop.region is not None:
        x1, y1, x2, y2 = size * settings.crop.region
        return _whole(np.array([[x1, y1, x2, y2]]), size)
    boxes = np.empty((0, 4)) if around is None else around
    centre = centres(boxes)
    reach = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1)[:, None] * settings.crop.sides / 2
    return _whole(np.hstack([centre - reach, centre + reach]), size)


def _whole(boxes: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
    """Round boxes outwards to whole pixels and clip them to the frame; boxes outside of it are dropped."""
    rounded = np.hstack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])])
    inside = np.clip(rounded, 0, size).astype(int)
    return list(inside[(inside[:, 2:] > inside[:, :2]).all(axis=1)])


def _tiles(part: np.ndarray, settings: TileSettings | None) -> list[tuple[int, int, int, int]]:
    x1, y1, x2, y2 = part.tolist()
    if settings is None:
        return [(x1, y1, x2, y2)]
    columns, rows = (_starts(length, settings) for length in (x2 - x1, y2 - y1))
    return [
        (x1 + x, y1 + y, min(x1 + x + settings.side, x2), min(y1 + y + settings.side, y2))
        for y, x in product(rows, columns)
    ]


def _starts(length: int, settings: TileSettings) -> list[int]:
    """Evenly spaced start positions of tiles along a length, with at least the given overlap."""
    rest = max(0, length - settings.side)
    steps = int(np.ceil(rest / (settings.side * (1 - settings.overlap))))
    return np.linspace(0, rest, steps + 1).round().astype(int).tolist()


def _enlarged(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return np.ascontiguousarray(image)
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
