import numpy as np
import pytest

from gotowce_dagster.training.standouts import panels, share_inside, stand_still, standouts, usual_picture


def _frame(*boxes: tuple[int, int, int, int], hud: bool = True) -> np.ndarray:
    image = np.full((240, 320, 3), 20, np.uint8)
    if hud:
        image[200:220, 40:70] = 200
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 180
    return image


def _usual() -> np.ndarray:
    return usual_picture([_frame((10 * n, 20, 10 * n + 20, 40)) for n in range(9)])


@pytest.mark.parametrize(
    ("box", "found"),
    [((100, 60, 120, 76), 1), ((100, 60, 104, 64), 0), ((0, 60, 320, 100), 0)],
    ids=["as large as targets", "a star", "a beam across the picture"],
)
def test_what_is_a_candidate(box: tuple, found: int) -> None:
    boxes = standouts(_frame(box), _usual(), (16.0, 40.0), limit=12)
    assert len(boxes) == found
    if found:
        assert np.abs(boxes[0] - box).max() <= 2


def test_panels_are_none_unless_nothing_is_known_of_the_place() -> None:
    assert len(standouts(_frame(), _usual(), (16.0, 40.0), limit=12)) == 0
    assert len(standouts(_frame(), None, (16.0, 40.0), limit=12)) == 1


def test_the_sharpest_come_first() -> None:
    """A cloud is larger, and differs as much from its surroundings."""
    y, x = np.mgrid[:240, :320]
    cloud = (160 * np.exp(-((x - 200) ** 2 + (y - 120) ** 2) / 800)).astype(np.uint8)
    image = _frame((20, 60, 40, 80)) + cloud[..., None]
    every = standouts(image, _usual(), (16.0, 40.0), limit=12)
    assert len(every) == 2
    assert np.abs(every[0] - [20, 60, 40, 80]).max() <= 2
    assert standouts(image, _usual(), (16.0, 40.0), limit=1).tolist() == every[:1].tolist()


def test_what_is_everywhere_is_no_candidate_where_targets_are_rare() -> None:
    rng = np.random.default_rng(1)
    stars = [(20 + 40 * column, 20 + 40 * row) for column in range(7) for row in range(4)]
    image = _frame(*((x, y, x + 16, y + 16) for x, y in stars))
    ship = (226, 182, 250, 198)
    image[182:198, 226:250] = rng.integers(0, 2, (8, 12, 1)).repeat(2, axis=0).repeat(2, axis=1) * 120 + 100
    assert len(standouts(image, _usual(), (16.0, 40.0), limit=12)) == 12
    (box,) = standouts(image, _usual(), (16.0, 40.0), limit=12, rare=True)
    assert np.abs(box - ship).max() <= 2


def test_nothing_is_usual_without_frames() -> None:
    with pytest.raises(ValueError, match="no frames"):
        usual_picture([])


def test_icons_of_the_hud_stand_still() -> None:
    boxes = np.array([[40.0, 200, 70, 220], [100, 60, 120, 76], [200, 100, 220, 120]])
    assert stand_still(_frame((100, 60, 120, 76)), _usual(), boxes).tolist() == [True, False, True]


def _with_radar(number: int) -> np.ndarray:
    """A frame of a HUD whose radar has a moving dot, and a target that moves over the scene."""
    image = _frame((10 * number, 20, 10 * number + 20, 40), hud=False)
    image[156:234, 96:174] = 200
    image[160:230, 100:170] = 20
    image[164:226, 104:166] = 200
    image[168:222, 108:162] = 0
    image[170 + 5 * number : 174 + 5 * number, 130:136] = 255
    return image


def test_a_panel_is_what_a_still_frame_encloses() -> None:
    hud = panels([_with_radar(number) for number in range(9)])
    radar, scene = np.array([[120.0, 180, 150, 210]]), np.array([[10.0, 20, 60, 60]])
    assert share_inside(hud, radar) == pytest.approx([1.0])
    assert share_inside(hud, scene) == pytest.approx([0.0])
    assert hud.shape == (240, 320)


def test_what_lies_in_a_panel_is_no_candidate() -> None:
    images = [_with_radar(number) for number in range(9)]
    images[3][180:200, 110:130] = 180
    usual = usual_picture(images)
    assert len(standouts(images[3], usual, (16.0, 40.0), limit=12)) == 2
    images[3][100:116, 200:216] = 180
    assert len(standouts(images[3], images[3], (16.0, 40.0), limit=12, hud=panels(images))) == 2, (
        "if it stands too"
    )
    images[3][100:116, 200:216] = 20
    assert len(standouts(images[3], usual, (16.0, 40.0), limit=12, hud=panels(images))) == 1


def test_share_inside_is_of_the_box() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:, 10:] = True
    boxes = np.array([[5.0, 0, 15, 10], [12, 0, 14, 4], [30, 30, 40, 40]])
    assert share_inside(mask, boxes) == pytest.approx([0.5, 1.0, 0.0])


def test_what_flies_by_is_no_candidate() -> None:
    image = _frame((100, 60, 120, 76), (200, 60, 220, 76))
    known = np.array([[101.0, 60, 121, 77]])
    found = standouts(image, _usual(), (16.0, 40.0), limit=12, fly_bys=known)
    assert len(found) == 1
    assert np.abs(found[0] - [200, 60, 220, 76]).max() <= 2
