"""Tracking from one ground truth box to the next with an image model alone.

    python -m benchmarks.image_track FOOTAGE_FOLDER [--weights FILE] [--plain-every N] [--sheet FOLDER]

For every two consecutive `object` rows of FOOTAGE_FOLDER/truth.csv at most 150 frames apart, the box in the
first frame is the prompt; then every frame is visited without further prompts. Prints the IoU of the mask's
box with ground truth in the last frame, seconds per frame, and frames by state.

The baseline prompts the whole frame at 1024 pixels with the box of the last mask, and takes the mask with the
highest predicted IoU. It visits only every N-th frame, to save time; 0 disables it.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.ratios import compare
from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.masks import mask_box_iou
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.propagation.gates import History, measure, state
from gotowce_dagster.propagation.image_track import ImageTrack
from gotowce_dagster.segmenters.prompts import Prompt, whole
from gotowce_dagster.segmenters.sam2 import Sam2
from gotowce_dagster.video.decode import Frame, read_frames

_MAX_FRAMES = 150
_PLAIN_PX = 1024
_TILE = 60
_COLOURS = {"sure": (0, 255, 0), "doubtful": (255, 200, 0), "lost": (255, 0, 0)}


@dataclass(frozen=True)
class Segment:
    """A part of a clip with ground truth boxes of the object, xyxy (4,), at both ends."""

    video: Path
    start: int
    end: int
    first: np.ndarray
    last: np.ndarray

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Read the frames, including both ends."""
        return read_frames(self.video, {*range(self.start, self.end, every), self.end})

    def iou(self, mask: np.ndarray) -> float:
        """IoU of the mask's box with ground truth in the last frame."""
        return mask_box_iou(mask, self.last)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("footage", type=Path)
    parser.add_argument("--clips", default="naev_", help="prefix of the clips' names")
    parser.add_argument("--weights", default="sam2_hiera_tiny_image.pt")
    parser.add_argument("--plain-every", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="both ends of one segment, small inputs")
    parser.add_argument("--sheet", type=Path, help="folder for pictures of every segment")
    arguments = parser.parse_args()
    params = Project.find(Path(__file__).parent).params.masks
    track = ImageTrack(arguments.weights, params)
    rows = []
    every, plain_every, plain_px = 1, arguments.plain_every, _PLAIN_PX
    if arguments.quick:
        every, plain_every, plain_px = _MAX_FRAMES, _MAX_FRAMES, params.input_px
    for segment in islice(segments(arguments.footage, arguments.clips), 1 if arguments.quick else None):
        tiles: list[np.ndarray] = []
        figures = follow(track, segment, params, every, tiles if arguments.sheet else None)
        if plain_every:
            model = Sam2(arguments.weights, params.model_copy(update={"input_px": plain_px}))
            figures |= follow_plainly(model, segment, plain_every)
            figures |= {"times_faster": figures["plain_s"] / figures["s"]}
        if arguments.sheet:
            _write_sheet(arguments.sheet / f"{segment.video.stem}_{segment.start}.png", tiles)
        rows.append({"clip": segment.video.stem, "from": segment.start, "to": segment.end, **figures})
        print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False, header=len(rows) == 1), flush=True)
    table = pd.DataFrame(rows)
    if plain_every:
        ours, plain = table["s"].median(), table["plain_s"].median()
        compare(
            "tracking with an image model", ours, plain, against="prompting whole frames", unit="s a frame"
        )
    print(f"lowest IoU {table['iou'].min():.3f}, {table['s'].median():.2f} s per frame on {track.device}")


def segments(footage: Path, prefix: str) -> Iterator[Segment]:
    """Build segments from the ground truth boxes of objects."""
    truth = read_truth(footage / "truth.csv")
    truth = truth[(truth["label"] == "object") & truth["clip"].str.startswith(prefix)]
    truth = truth.sort_values("frame_index")
    for clip, rows in truth.groupby("clip"):
        boxes = zip(rows["frame_index"].astype(int), xyxy(rows), strict=True)
        for (start, first), (end, last) in pairwise(boxes):
            if end - start <= _MAX_FRAMES:
                yield Segment(footage / str(clip), start, end, first, last)


def follow(
    track: ImageTrack, segment: Segment, params: MasksParams, every: int, tiles: list[np.ndarray] | None
) -> dict[str, float]:
    """Track with ImageTrack: IoU at the end, median seconds per frame, and frames in each state."""
    history = History(usual_frames=params.propagation.usual_frames)
    track.begin()
    seconds, states, found = [], [], None
    for frame in segment.frames(every):
        image = frame.rgb()
        if found is None:
            found = track.prompt(frame.index, image, {"object": Prompt(box=segment.first)})["object"]
            history.add(found, image, frame.time_s)
            continue
        start = time.perf_counter()
        found = track.step(frame.index, image, ["object"])["object"]
        seconds.append(time.perf_counter() - start)
        states.append(state(measure(history, found, image, frame.time_s, None), params.propagation.gates))
        if states[-1] == "sure":
            history.add(found, image, frame.time_s)
        if tiles is not None and (len(states) % 8 == 0 or states[-1] != "sure" or frame.index == segment.end):
            tiles.append(_tile(frame.index, image, found.mask, states[-1]))
    assert found is not None, "a segment has frames"
    counts = {name: states.count(name) for name in _COLOURS}
    return {"iou": segment.iou(found.mask), "s": float(np.median(seconds)), **counts}


def follow_plainly(model: Sam2, segment: Segment, every: int) -> dict[str, float]:
    """Track with the baseline: IoU at the end and median seconds per frame."""
    box: np.ndarray | None = segment.first
    seconds, mask = [], np.zeros((1, 1), bool)
    for frame in segment.frames(every):
        image = frame.rgb()
        start = time.perf_counter()
        prediction = model.predict([image], [[whole(box)]])[0][0] if box is not None else None
        seconds.append(time.perf_counter() - start)
        if prediction is None:
            break
        mask = prediction.logits[int(prediction.scores.argmax())] > 0
        window = Crop.of_mask(mask)
        box = None if window is None else window.box
    return {"plain_iou": 0.0 if box is None else segment.iou(mask), "plain_s": float(np.median(seconds))}


def _tile(index: int, image: np.ndarray, mask: np.ndarray, verdict: str) -> np.ndarray:
    window = Crop.of_mask(mask)
    x, y = ((window.box[:2] + window.box[2:]) / 2).astype(int) if window else (_TILE, _TILE)
    pad = ((_TILE, _TILE), (_TILE, _TILE))
    part = np.pad(image, (*pad, (0, 0)))[y : y + 2 * _TILE, x : x + 2 * _TILE]
    shape = np.pad(mask, pad)[y : y + 2 * _TILE, x : x + 2 * _TILE].astype(np.uint8)
    tile, shape = (
        cv2.resize(one, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for one in (part, shape)
    )
    lines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, lines, -1, _COLOURS[verdict], 1)
    text = f"{index} {verdict}"
    return cv2.putText(tile, text, (3, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)


def _write_sheet(path: Path, tiles: list[np.ndarray], columns: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tiles = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
