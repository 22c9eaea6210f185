"""Compare scores with the plain formulas and with imagehash."""

from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import read_frames

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.fixture(scope="module")
def lumas() -> list[np.ndarray]:
    """A few frames of both games."""
    clips = ("naev_hostile_sample.mp4", "oolite_red_sample.mp4")
    return [f.luma() for clip in clips for f in read_frames(SAMPLES / clip, range(0, 540, 60))]


def _bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_sharpness_is_the_variance_of_the_laplacian(lumas: list[np.ndarray]) -> None:
    for luma in lumas:
        assert quality.sharpness(luma) == pytest.approx(cv2.Laplacian(luma, cv2.CV_64F).var(), rel=1e-6)


def test_sharpness_falls_with_blur(lumas: list[np.ndarray]) -> None:
    scores = [quality.sharpness(cv2.GaussianBlur(lumas[0], (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 10 * scores[-1]


def test_phash_of_a_reduced_image_equals_imagehash(lumas: list[np.ndarray]) -> None:
    for luma in lumas:
        small = cv2.resize(luma, (32, 32), interpolation=cv2.INTER_AREA)
        assert f"{quality.phash(small):016x}" == str(imagehash.phash(Image.fromarray(small)))


def test_phash_of_a_frame_is_close_to_imagehash(lumas: list[np.ndarray]) -> None:
    theirs = [int(str(imagehash.phash(Image.fromarray(luma))), 16) for luma in lumas]
    ours = [quality.phash(luma) for luma in lumas]
    assert max(map(_bits, ours, theirs)) <= 6
    assert min(_bits(ours[0], other) for other in ours[9:]) > 10, "different games, different hashes"


@pytest.mark.parametrize("shape", [(720, 1280), (719, 1279), (2, 2), (1, 1)])
def test_shrink_halves(shape: tuple[int, int]) -> None:
    assert quality.shrink(np.zeros(shape, np.uint8)).shape == (max(1, shape[0] // 2), max(1, shape[1] // 2))


@pytest.mark.parametrize(
    ("after", "expected"),
    [(np.full((4, 4), 10), 0.0), (np.eye(4) * 30 + 10, 30.0), (np.full((4, 5), 10), 255.0)],
    ids=["equal", "one line differs", "another size"],
)
def test_change_is_the_largest_difference(after: np.ndarray, expected: float) -> None:
    assert quality.change(np.full((4, 4), 10, np.uint8), after.astype(np.uint8)) == expected
