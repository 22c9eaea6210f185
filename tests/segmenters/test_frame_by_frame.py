from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core import rle
from gotowce_dagster.core.progress import silent
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.frame_by_frame import segment_frame_by_frame
from tests.shipped import masks_params

FRAMES, DOUBTFUL = 5, 2
SHIP, SQUARE = (np.zeros((80, 80), bool) for _ in range(2))
SHIP[36:44, 35:45] = True
SQUARE[24:56, 24:56] = True


class StandIn:
    """Segments the ship in every frame but one, where it prefers the square and is unstable."""

    name, weights, device = "stand_in", "", "cpu"

    def __init__(self) -> None:
        self.frames: list[int] = []

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        frame = int(image[0, 0, 0])
        self.frames.append(frame)
        if frame != DOUBTFUL:
            return [[Candidate(SHIP, prompt, 0.9, 0.9) for prompt in ("point@2", "ring@2")] for _ in boxes]
        proposed = [
            (SHIP, "point@2", 0.3),
            (SHIP, "ring@2", 0.3),
            (SQUARE, "point@3", 0.4),
            (SQUARE, "box@3", 0.4),
        ]
        return [
            [Candidate(mask, prompt, 0.9, stability) for mask, prompt, stability in proposed] for _ in boxes
        ]


def run(work: Path, segmenter: StandIn, stop_at: int | None = None) -> pd.DataFrame:
    def images(wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        for frame_index in wanted:
            if frame_index == stop_at:
                raise KeyboardInterrupt
            yield frame_index, np.full((80, 80, 3), frame_index, np.uint8)

    work.mkdir(exist_ok=True)
    frames = pd.DataFrame({"frame_index": range(FRAMES), "time_s": np.arange(FRAMES) / 2})
    box = {"x1": 20.0, "y1": 20.0, "x2": 60.0, "y2": 60.0}
    detections = frames[["frame_index"]].assign(
        video="a", detection_id=0, object_id="0/0", class_name="ship", **box
    )
    return segment_frame_by_frame(
        detections, frames, images, lambda: segmenter, masks_params(doubt=0.5), work=work, progress=silent
    )


def test_doubtful_frame_is_settled_by_its_neighbours(tmp_path: Path) -> None:
    found = run(tmp_path, StandIn())
    assert found["frame_index"].tolist() == list(range(FRAMES))
    assert found["rle"].tolist() == [rle.encode(SHIP)] * FRAMES
    assert found["neighbours"].tolist() == pytest.approx([1] * FRAMES)
    assert found["stability"].tolist() == pytest.approx([0.9, 0.9, 0.3, 0.9, 0.9])


@pytest.mark.parametrize("stop_at", range(1, FRAMES))
def test_interrupted_run_gives_the_same_result(tmp_path: Path, stop_at: int) -> None:
    segmenter = StandIn()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", segmenter, stop_at)
    resumed = run(tmp_path / "killed", segmenter)
    assert segmenter.frames == list(range(FRAMES)), "no frame is segmented twice"
    pd.testing.assert_frame_equal(resumed, run(tmp_path / "whole", StandIn()))
