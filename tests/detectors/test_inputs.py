from collections.abc import Sequence

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gotowce_dagster.config.detector_settings import (
    BracketSettings,
    CropSettings,
    InputSettings,
    Threshold,
    TileSettings,
)
from gotowce_dagster.detectors.base import Cost, found
from gotowce_dagster.detectors.inputs import InPieces, Piece, cut, join, only_colours
from gotowce_dagster.detectors.registry import build_detector
from tests.detectors.marks import PROFILE, put_mark, sky

WHITE = np.full((90, 160, 3), 255, np.uint8)


class Bright:
    """Finds the box around every bright pixel of an image; at most as many as it has pixels."""

    name, version = "bright", "1"

    def __init__(self) -> None:
        self.weights: tuple[str, ...] = ("bright.pt",)
        self.cost = Cost()
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        with self.cost.of(len(images)):
            self.seen += [image.shape for image in images]
            return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> sv.Detections:
        ys, xs = np.nonzero(image.mean(axis=2) > 127)
        if not len(xs):
            return found(np.empty((0, 4)), np.empty(0), [], [])
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        return found(np.array([box]), np.array([0.5]), ["target"], ["bright"])


regions = st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.55, 1), st.floats(0.55, 1))
inputs = st.builds(
    InputSettings,
    crop=st.none() | st.builds(CropSettings, region=regions),
    tiles=st.none() | st.builds(TileSettings, side=st.integers(32, 300), overlap=st.floats(0, 0.8)),
    scale=st.floats(0.3, 4),
)
boxes = st.tuples(st.floats(0, 150), st.floats(0, 80), st.floats(1, 10), st.floats(1, 10))


@given(settings=inputs, box=boxes)
@settings(max_examples=150, deadline=None)
def test_coordinates_survive_the_round_trip(
    settings: InputSettings, box: tuple[float, float, float, float]
) -> None:
    xyxy = np.array([[box[0], box[1], box[0] + box[2], box[1] + box[3]]])
    for piece in cut(WHITE, settings):
        # A model returns whole pixels of its input at worst; this is half such a pixel on the frame.
        mapped = piece.to_piece(xyxy).round()
        assert np.abs(piece.to_frame(mapped) - xyxy).max() <= max(1.0, 0.5 / piece.scale.min()) + 1e-9
        assert np.abs(piece.to_frame(piece.to_piece(xyxy)) - xyxy).max() < 1e-6


@given(settings=inputs, box=boxes)
@settings(max_examples=100, deadline=None)
def test_what_lies_in_a_piece_is_found_at_its_place(
    settings: InputSettings, box: tuple[float, float, float, float]
) -> None:
    x1, y1 = int(box[0]), int(box[1])
    x2, y2 = x1 + 4 + int(box[2]), y1 + 4 + int(box[3])
    image = np.zeros((100, 170, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    pieces = cut(image, settings)
    whole = [p for p in pieces if (p.box[:2] <= [x1, y1]).all() and (p.box[2:] >= [x2, y2]).all()]
    for (answer,), piece in zip((Bright().detect([piece.image]) for piece in whole), whole, strict=True):
        assert np.abs(piece.to_frame(answer.xyxy)[0] - [x1, y1, x2, y2]).max() <= 1 / piece.scale.min() + 0.01


@given(
    size=st.tuples(st.integers(20, 900), st.integers(20, 900)),
    side=st.integers(32, 500),
    overlap=st.floats(0, 0.8),
)
@settings(max_examples=100, deadline=None)
def test_tiles_cover_the_frame_and_overlap(size: tuple[int, int], side: int, overlap: float) -> None:
    width, height = size
    pieces = cut(
        np.zeros((height, width, 3), np.uint8), InputSettings(tiles=TileSettings(side=side, overlap=overlap))
    )
    seen = np.zeros((height, width), bool)
    for piece in pieces:
        x1, y1, x2, y2 = piece.box
        seen[y1:y2, x1:x2] = True
        assert (x2 - x1, y2 - y1) == (min(side, width), min(side, height))
    assert seen.all()
    columns = np.unique([piece.box[0] for piece in pieces])
    assert (np.diff(columns) <= side * (1 - overlap) + 1).all()


def test_an_object_on_a_seam_is_found_once_and_whole() -> None:
    image = np.zeros((90, 160, 3), np.uint8)
    image[40:50, 70:92] = 255
    settings = InputSettings(tiles=TileSettings(side=100, overlap=0.4), scale=2)
    detector = Bright()
    (answer,) = InPieces(detector, settings).detect([image])
    assert detector.seen == [(180, 200, 3), (180, 200, 3)]
    assert np.abs(answer.xyxy - [70, 40, 92, 50]).max() <= 1
    assert len(answer) == 1


@pytest.mark.parametrize(
    ("left", "right", "kept"),
    [
        ((60, 10, 100, 30, 0.9), (60, 10, 120, 30, 0.4), [(60, 10, 120, 30)]),
        ((60, 10, 80, 30, 0.9), (60, 10, 80, 30, 0.4), [(60, 10, 80, 30)]),
        ((10, 10, 50, 30, 0.9), (110, 10, 150, 30, 0.4), [(10, 10, 50, 30), (110, 10, 150, 30)]),
    ],
    ids=["the whole one, not the surer piece of it", "the surer of two alike", "two objects"],
)
def test_join(left: tuple, right: tuple, kept: list[tuple]) -> None:
    pieces = [
        Piece(np.zeros((50, 100, 3), np.uint8), np.array([0, 0, 100, 50])),
        Piece(np.zeros((50, 110, 3), np.uint8), np.array([50, 0, 160, 50])),
    ]
    answers = [
        found(np.array([left[:4]]), np.array([left[4]]), ["target"], ["a"]),
        found(np.array([right[:4]]) - [50, 0, 50, 0], np.array([right[4]]), ["target"], ["b"]),
    ]
    joined = join(pieces, answers, seam=0.3)
    assert [tuple(map(int, box)) for box in joined.xyxy] == kept


def test_objects_of_one_piece_or_of_two_classes_are_not_joined() -> None:
    pieces = [Piece(WHITE, np.array([0, 0, 160, 90]))] * 2
    nested = np.array([[10, 10, 80, 80], [20, 20, 40, 40]])
    answers = [
        found(nested, np.array([0.9, 0.8]), ["target"] * 2, [""] * 2),
        found(nested[:1], np.array([0.7]), ["other"], [""]),
    ]
    assert len(join(pieces, answers, seam=0.3)) == 3


def test_reason_for_a_missing_answer_is_stored() -> None:
    pieces = [Piece(WHITE, np.array([0, 0, 160, 90]))] * 3
    answers = [found(np.empty((0, 4)), np.empty(0), [], []) for _ in pieces]
    answers[0].metadata = answers[2].metadata = {"unanswered": "refused"}
    assert join(pieces, answers, seam=0.3).metadata == {"unanswered": "refused"}
    assert join(pieces[:1], answers[1:2], seam=0.3).metadata == {}


def test_cost_counts_frames_not_pieces() -> None:
    detector = Bright()
    prompted = InPieces(detector, InputSettings(tiles=TileSettings(side=50)))
    prompted.detect([WHITE, WHITE])
    assert len(detector.seen) > 4
    assert (prompted.cost.frames, prompted.name, prompted.weights) == (2, "bright", ("bright.pt",))
    assert 0 < prompted.cost.seconds < 60


def test_only_the_colours_of_the_profile_are_seen() -> None:
    image = sky()
    put_mark(image, 100, 80, 50)
    colours = PROFILE.designators[0].colours
    seen = only_colours(image, colours)
    lit = np.asarray(seen.any(axis=2))
    assert lit[80:130, 100:150].any()
    assert lit.mean() < 0.05
    settings = InputSettings(only_colours="profile")
    assert (cut(image, settings, colours)[0].image == seen).all()
    # Nothing known, nothing shown: no model is asked for nothing.
    assert cut(image, settings, []) == []
    detector = Bright()
    assert len(InPieces(detector, settings).detect([image])[0]) == 0
    assert detector.seen == []


def test_a_threshold_leaves_what_passes() -> None:
    image = sky()
    put_mark(image, 100, 80, 50)
    seen: list[np.ndarray] = []

    class Keeps(Bright):
        def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
            seen.extend(images)
            return super().detect(images)

    InPieces(Keeps(), InputSettings(threshold=Threshold(channel="red", at_least=180))).detect([image])
    passed = image[..., 0] >= 180
    assert 0 < passed.sum() < passed.size
    assert (seen[0] == image * passed[..., None]).all()

    prompted = InPieces(Keeps(), InputSettings(threshold="auto"), PROFILE.designators[0].colours)
    prompted.detect([image])
    lit, marked = (np.any(each, axis=2) for each in (seen[1], only_colours(image, prompted._marks)))
    assert (lit & marked).sum() > 0.9 * marked.sum() > 0
    assert lit.mean() < 0.05
    # A frame without a pixel of the mark has no threshold, and no model is asked.
    assert len(prompted.detect([np.zeros_like(image)])[0]) == 0
    assert len(seen) == 2


@pytest.mark.parametrize("limits", [{}, {"at_least": 3, "at_most": 9}])
def test_a_threshold_has_one_side(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="give either at_least or at_most"):
        Threshold.model_validate({"channel": "red", **limits})


def test_a_finder_without_an_answer_leaves_the_frame_unanswered() -> None:
    class Refuses(Bright):
        def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
            answers = super().detect(images)
            for image, answer in zip(images, answers, strict=True):
                answer.metadata = {} if image.any() else {"unanswered": "refused"}
            return answers

    settings = InputSettings(crop=CropSettings(around=BracketSettings()))
    black, white = InPieces(Bright(), settings, around=Refuses()).detect([np.zeros_like(WHITE), WHITE])
    assert (black.metadata, white.metadata) == ({"unanswered": "refused"}, {})
    assert (len(black), len(white)) == (0, 1)


def test_looking_around_what_another_detector_finds() -> None:
    image = sky()
    put_mark(image, 100, 80, 50)
    crop = CropSettings(around=BracketSettings(), sides=2)
    settings = BracketSettings(input=InputSettings(crop=crop, scale=2))
    bare, around = (build_detector("b", s, PROFILE) for s in (BracketSettings(), settings))
    ((one,), (other,)) = (detector.detect([image]) for detector in (bare, around))
    assert len(one) == len(other) == 1
    assert np.abs(one.xyxy - other.xyxy).max() <= 2
    (none,) = around.detect([sky()])
    assert len(none) == 0
    assert list(none.data) == ["class_name", "prompt"]


@pytest.mark.parametrize(
    "crop",
    [{}, {"region": (0.5, 0, 0.5, 1)}, {"region": (0, 0, 1, 1), "around": {"kind": "bracket"}}],
    ids=["neither", "a region without area", "both"],
)
def test_a_crop_is_a_region_or_around_something(crop: dict) -> None:
    with pytest.raises(ValidationError, match="crop"):
        CropSettings.model_validate(crop)
