import numpy as np
import pytest

from gotowce_dagster.studies.everything import Cut, Piece, best_fit, cut_up, merged, superpixels
from gotowce_dagster.studies.everything_pictures import closeup_of, with_pieces
from tests.shipped import params

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
    assert fit["size"].tolist() == pytest.approx([np.sqrt(3000), np.sqrt(600), 10])
    assert fit["box_iou"].tolist() == pytest.approx([0.5, 1, 100 / 19200])
    assert fit["covered"].tolist() == pytest.approx([0.5, 1, 1])


def test_of_duplicates_in_two_cuts_the_finer_one_stays() -> None:
    finer = Cut("tiles", [piece(40, 20, 100, 70), piece(0, 0, 5, 5)], 2.0, 300.0)
    coarser = Cut("whole", [piece(41, 20, 100, 70), piece(120, 90, 150, 110)], 1.0, 400.0)
    both = merged("both", finer, coarser)
    assert both.boxes.tolist() == [[40, 20, 100, 70], [0, 0, 5, 5], [120, 90, 150, 110]]
    assert (both.seconds, both.memory_mb) == (3.0, 400.0)
    assert len(merged("both", Cut("tiles", [], 0.0), coarser).pieces) == 2
    assert len(merged("both", finer, Cut("whole", [], 0.0)).pieces) == 2


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


def test_best_pieces_are_outlined_and_the_picture_kept() -> None:
    image = picture()
    shown = with_pieces(image, Cut("drawn", [piece(40, 20, 100, 70)], 0.0), OBJECT, [0])
    assert shown.shape == image.shape
    assert (image == picture()).all()
    assert (shown[45, 70] != image[45, 70]).any()
    assert (shown[5, 5] == image[5, 5]).all()


def test_the_smallest_object_is_shown_large() -> None:
    image = picture()
    objects = np.array([[40.0, 20, 100, 70], [120.0, 90, 150, 110]])
    cut = Cut("drawn", [piece(40, 20, 100, 70), piece(120, 90, 150, 110)], 0.0)
    shown = closeup_of(image, cut, objects, best_fit(cut, objects))
    assert shown.shape == (400, 400, 3)
    # Of 120 pixels of the frame, moved inward at its right and lower edges: 3.3 times as large.
    assert np.abs(shown[int(100 * 400 / 120), int((135 - 40) * 400 / 120)] - [90.0, 200, 120]).max() < 3
    assert (shown == (255, 80, 200)).all(axis=2).any()
    assert (shown == 255).all(axis=2).any()
