"""Which colours of a few boxes may be the mark's."""

import numpy as np

from gotowce_dagster.designators.colours import hypotheses
from gotowce_dagster.designators.evidence import mask_of

GROUND = (60.0, 128.0, 128.0)


def test_boxes_of_whole_frames_suggest_no_colours() -> None:
    scenes = [np.full((180, 320, 3), 40 * number, np.uint8) for number in range(3)]
    assert hypotheses(scenes, [np.array([3.0, 3, 317, 177])] * 3) == []


def _scenes(*layers: tuple[int, tuple[float, float, float]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Three frames with a frame of 60 x 60 px, and its boxes.

    Args:
        layers: how far from the middle of its line each colour reaches, in pixels, and the colour, YCrCb.
    """
    scenes, boxes = [], []
    for number in range(3):
        rng = np.random.default_rng(number)
        scene = rng.normal(GROUND, (5, 2, 2), (180, 320, 3))
        x, y = 40 + 60 * number, 50 + 10 * number
        for reach, colour in layers:
            outer, inner = slice(-reach, 60 + reach), slice(reach, 60 - reach)
            band = np.zeros(scene.shape[:2], bool)
            band[y + outer.start : y + outer.stop, x + outer.start : x + outer.stop] = True
            band[y + inner.start : y + inner.stop, x + inner.start : x + inner.stop] = False
            scene[band] = rng.normal(colour, 2, (band.sum(), 3))
        scenes.append(scene.clip(0, 255).astype(np.uint8))
        boxes.append(np.array([x - 4, y - 4, x + 64, y + 64], float))
    return scenes, boxes


def test_what_has_the_colour_of_a_line_s_fringe_has_that_of_its_middle_too() -> None:
    middle, fringe = (158.0, 191, 60), (158.0, 168, 84)
    scenes, boxes = _scenes((4, fringe), (1, middle))
    found = hypotheses(scenes, boxes)
    masks = [mask_of(np.array([[fringe, middle]], np.uint8), colours)[0].tolist() for colours in found]
    assert [1, 1] in masks
    assert [1, 0] not in masks


def test_on_black_what_halved_chroma_tints_is_no_shade_of_a_line() -> None:
    line, beside = (200.0, 144, 75), (25.0, 138, 105)
    scenes, boxes = _scenes((3, beside), (1, line))
    found = hypotheses(scenes, boxes)
    masks = [mask_of(np.array([[line, beside]], np.uint8), colours)[0].tolist() for colours in found]
    assert masks[:2] == [[1, 0], [1, 0]]  # of the line as it is, and of its shades
