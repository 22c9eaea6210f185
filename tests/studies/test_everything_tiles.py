from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from gotowce_dagster.config.study_params import SegmentEverythingParams
from gotowce_dagster.core import weights
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.segmenters.base import ImageEmbedding, Interactive, Prediction
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.studies.everything import Cut, Piece, best_fit, cut_up
from gotowce_dagster.studies.everything_tiles import (
    distinct,
    generator,
    grid,
    standing_out,
    tiled_generator,
    tiles_of,
)
from tests.shipped import params
from tests.studies.test_everything import picture

WEIGHTS = "sam2_hiera_tiny_image.pt"
BLOCKS = np.array([[40.0, 20, 100, 70], [120.0, 90, 150, 110]])


def settings(**changes: object) -> SegmentEverythingParams:
    return params().segment_everything.model_copy(update=changes)


class FloodFill:
    """A promptable model without weights: the connected pixels of a point's own colour."""

    name, weights, device, crop_scales = "flood", "", "cpu", (3.0,)

    def __init__(self, score: float = 0.9, edge: float = 5.0) -> None:
        self._score, self._edge = score, edge
        self.encoded: list[tuple[int, int]] = []

    def encode(self, image: np.ndarray) -> ImageEmbedding:
        self.encoded.append(image.shape[:2])
        return ImageEmbedding(image, image.shape[:2])

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        return [self._filled(embedding.features, prompt) for prompt in prompts]

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        return [self.decode(self.encode(crop), own) for crop, own in zip(crops, prompts, strict=True)]

    def _filled(self, image: np.ndarray, prompt: Prompt) -> Prediction:
        assert prompt.points is not None
        x, y = prompt.points[0].astype(int)
        mask = (image == image[y, x]).all(axis=2)
        return Prediction(np.where(mask, self._edge, -5.0)[None], np.array([self._score]))


@pytest.mark.parametrize(
    ("height", "width", "side", "overlap", "columns", "rows"),
    [
        (720, 1280, 320, 0.2, 5, 3),
        (720, 1280, 720, 0.0, 2, 1),
        (90, 160, 320, 0.2, 1, 1),
        (64, 65, 64, 0.5, 2, 1),
    ],
    ids=["a frame", "without overlap", "a small frame", "one pixel more"],
)
def test_tiles_cover_the_frame_and_overlap(
    height: int, width: int, side: int, overlap: float, columns: int, rows: int
) -> None:
    tiles = tiles_of(height, width, side, overlap)
    assert len(tiles) == columns * rows
    covered = np.zeros((height, width), int)
    for tile in tiles:
        assert (tile.x2 - tile.x1, tile.y2 - tile.y1) == (min(side, width), min(side, height))
        covered[tile.y1 : tile.y2, tile.x1 : tile.x2] += 1
    assert covered.min() == 1
    for first, second in pairwise(tiles[:columns]):
        assert first.x2 - second.x1 >= side * overlap - 1


def test_the_grid_has_the_centres_of_its_cells() -> None:
    assert grid(np.zeros((40, 80, 3), np.uint8), 2).tolist() == [[20, 10], [60, 10], [20, 30], [60, 30]]


def test_a_small_target_gets_a_point_wherever_it_is() -> None:
    random = np.random.default_rng(3)
    for x, y in random.integers(2, 310, (20, 2)):
        image = random.integers(0, 8, (320, 320, 3)).astype(np.uint8)
        image[y : y + 8, x : x + 8] = (150, 90, 60)
        points = standing_out(image, 8)
        assert points.shape == (64, 2)
        inside = (points >= [x, y]).all(axis=1) & (points < [x + 8, y + 8]).all(axis=1)
        assert inside.any()
        cells = (points // 40).astype(int)
        assert len(np.unique(cells, axis=0)) == 64, "one point in each cell"


def test_a_grid_of_points_finds_what_they_lie_in() -> None:
    cut = cut_up("flood", generator(FloodFill(), settings(points_per_side=8)), picture())
    assert best_fit(cut, BLOCKS)["box_iou"].tolist() == [1, 1]
    assert len(cut.pieces) == 3, "both blocks and the background, once each"


@pytest.mark.parametrize("changes", [{"score": 0.7}, {"edge": 0.5}], ids=["a low score", "not stable"])
def test_doubtful_segments_are_left_out(changes: dict[str, float]) -> None:
    assert cut_up("flood", generator(FloodFill(**changes), settings()), picture()).pieces == []


def test_tiles_find_a_target_that_the_grid_misses_and_each_once() -> None:
    image = np.zeros((300, 500, 3), np.uint8)
    targets = np.array([[203.0, 104, 209, 109], [30.0, 31, 90, 81], [470.0, 280, 478, 287]])
    for x1, y1, x2, y2 in targets.astype(int):
        image[y1:y2, x1:x2] = (180, 120, 90)
    changed = settings(tile_px=160, tile_overlap=0.4, tile_points_per_side=4, points_per_side=4)
    whole = cut_up("whole", generator(_Each(), changed), image)
    model = _Each()
    tiled = cut_up("tiles", tiled_generator(model, changed), image)
    assert set(model.encoded) == {(160, 160)}
    assert (best_fit(whole, targets)["box_iou"] >= 0.5).tolist() == [False, True, False]
    assert best_fit(tiled, targets)["box_iou"].tolist() == [1, 1, 1]
    assert len(tiled.pieces) == 3, "the background is cut off by every tile"


class _Each(FloodFill):
    """As FloodFill, but only what touches the point, as a segmenter does."""

    def _filled(self, image: np.ndarray, prompt: Prompt) -> Prediction:
        import cv2

        assert prompt.points is not None
        x, y = prompt.points[0].astype(int).tolist()
        _, labels = cv2.connectedComponents((image.max(axis=2) > 0).astype(np.uint8))
        return Prediction(np.where(labels == labels[y, x], 5.0, -5.0)[None], np.array([self._score]))


def test_of_duplicates_the_best_score_stays() -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 10, 11), (20, 0, 30, 10)]
    pieces = [
        Piece(Crop(*box), np.ones((box[3] - box[1], box[2] - box[0]), bool), score)
        for box, score in zip(boxes, (0.8, 0.9, 0.7), strict=True)
    ]
    assert distinct(pieces) == pieces[1:]
    assert distinct([]) == []


@pytest.fixture(scope="module")
def sam2() -> Interactive:
    if weights.find(WEIGHTS) is None:
        pytest.skip(f"needs the weights {WEIGHTS}: set GOTOWCE_WEIGHTS_DIR")
    model = build_segmenter(f"sam2:{WEIGHTS}", params().masks.model_copy(update={"input_px": 224}))
    assert isinstance(model, Interactive)
    return model


@pytest.mark.weights
def test_sam2_finds_blocks_without_a_prompt(sam2: Interactive) -> None:
    changed = settings(points_per_side=6, tile_px=120, tile_overlap=0.5, tile_points_per_side=4)
    whole = cut_up("SAM 2", generator(sam2, changed), picture())
    assert best_fit(whole, BLOCKS)["box_iou"].min() > 0.85
    assert 2 <= len(whole.pieces) <= 12
    # Of the large block only edges stand out, and points there may name less: tiles are for small targets.
    tiles = cut_up("SAM 2", tiled_generator(sam2, changed), picture())
    assert best_fit(tiles, BLOCKS[1:])["box_iou"].min() > 0.85


@pytest.mark.weights
def test_the_same_segments_as_the_generator_of_the_package(sam2: Interactive) -> None:
    from gotowce_dagster.core.device import inference
    from gotowce_dagster.segmenters.sam2 import predictor_of

    changed = settings(points_per_side=6)
    predictor = predictor_of(WEIGHTS, 224)
    from sam2.automatic_mask_generator import (
        SAM2AutomaticMaskGenerator,
    )  # after predictor_of has set up hydra

    theirs = SAM2AutomaticMaskGenerator(
        predictor.model,
        points_per_side=6,
        pred_iou_thresh=changed.least_predicted_iou,
        stability_score_thresh=changed.least_stability,
    )
    theirs.predictor = predictor  # its own assumes an input of 1024 pixels
    with inference(str(predictor.device)):
        found = theirs.generate(picture())
    expected = [piece for one in found if (piece := Piece.of(one["segmentation"])) is not None]
    ours = cut_up("SAM 2", generator(sam2, changed), picture())
    assert len(ours.pieces) == len(expected)
    assert best_fit(ours, Cut("theirs", expected, 0.0).boxes)["box_iou"].min() > 0.9
