import numpy as np
import pytest

from gotowce_dagster.core import weights
from gotowce_dagster.studies.everything import Cut, Piece, best_fit, cut_up, sam2_generator, superpixels
from gotowce_dagster.studies.everything_pictures import with_pieces
from tests.shipped import params

WEIGHTS = "sam2_hiera_tiny_image.pt"
OBJECT = np.array([[40.0, 20, 100, 70]])


def picture() -> np.ndarray:
    """A grey block on black, 160 x 120."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[20:70, 40:100] = (170, 160, 150)
    image[90:110, 120:150] = (90, 200, 120)
    return image


def piece(x1: int, y1: int, x2: int, y2: int) -> Piece:
    mask = np.zeros((120, 160), bool)
    mask[y1:y2, x1:x2] = True
    found = Piece.of(mask)
    assert found is not None
    return found


def test_a_piece_is_its_window() -> None:
    found = piece(10, 20, 30, 50)
    assert found.window.box.tolist() == [10, 20, 30, 50]
    assert found.mask.shape == (30, 20)
    assert Piece.of(np.zeros((4, 4), bool)) is None


def test_the_best_piece_for_each_object() -> None:
    cut = Cut("drawn", [piece(0, 0, 160, 120), piece(40, 20, 100, 45), piece(120, 90, 150, 110)], 0.0)
    objects = np.array([[40.0, 20, 100, 70], [120.0, 90, 150, 110], [0.0, 110, 10, 120]])
    fit = best_fit(cut, objects)
    assert fit["piece"].tolist() == [1, 2, 0]
    assert fit["box_iou"].tolist() == pytest.approx([0.5, 1, 100 / 19200])
    assert fit["covered"].tolist() == pytest.approx([0.5, 1, 1])


def test_nothing_found_and_nothing_known() -> None:
    assert best_fit(Cut("none", [], 0.0), OBJECT)["piece"].tolist() == [-1]
    assert best_fit(Cut("one", [piece(0, 0, 5, 5)], 0.0), np.zeros((0, 4))).empty


def test_superpixels_cover_the_picture_once_and_keep_to_its_edges() -> None:
    changes = {"superpixels": 60, "compactness": 1.0}
    cut = cut_up("SLIC", superpixels(params().segment_everything.model_copy(update=changes)), picture())
    covered = np.zeros((120, 160), int)
    for one in cut.pieces:
        covered[one.window.y1 : one.window.y2, one.window.x1 : one.window.x2] += one.mask
    assert set(covered.ravel()) == {1}
    assert best_fit(cut, np.array([[120.0, 90, 150, 110]]))["box_iou"][0] > 0.8


@pytest.mark.weights
def test_sam2_finds_both_blocks_without_a_prompt() -> None:
    if weights.find(WEIGHTS) is None:
        pytest.skip(f"needs the weights {WEIGHTS}: set GOTOWCE_WEIGHTS_DIR")
    from gotowce_dagster.segmenters.sam2 import predictor_of

    changed = params().segment_everything.model_copy(update={"points_per_side": 6})
    cut = cut_up("SAM 2", sam2_generator(predictor_of(WEIGHTS, 224), changed), picture())
    fit = best_fit(cut, np.array([[40.0, 20, 100, 70], [120.0, 90, 150, 110]]))
    assert fit["box_iou"].min() > 0.85
    assert 2 <= len(cut.pieces) <= 12


def test_best_pieces_are_outlined_and_the_picture_kept() -> None:
    image = picture()
    shown = with_pieces(image, Cut("drawn", [piece(40, 20, 100, 70)], 0.0), OBJECT, [0])
    assert shown.shape == image.shape
    assert (image == picture()).all()
    assert (shown[45, 70] != image[45, 70]).any()
    assert (shown[5, 5] == image[5, 5]).all()
