import numpy as np
import pytest

from gotowce_dagster.designators.arms import Search, arm_lengths, find_corners
from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from tests.detectors.marks import TARGET, compressed, put_mark, sky


@pytest.mark.parametrize(
    ("line", "length"),
    [
        ("1111100000", 5),
        ("0001111100", 8),  # a rounded corner begins late
        ("1100111000", 7),  # holes of two are crossed
        ("1100011100", 2),  # of three they are not
        ("0000000011", 0),  # begins too late to be this corner's
        ("1111111111", 10),
        ("0000000000", 0),
    ],
)
def test_arm_length(line: str, length: int) -> None:
    lines = np.array([[int(pixel) for pixel in line]], np.uint8)
    assert arm_lengths(lines, probe=4).tolist() == [length]


@pytest.mark.parametrize("side", [42, 60, 151, 300])
def test_corners_of_a_mark_are_found_within_a_pixel(side: int) -> None:
    image = sky()
    x1, y1, x2, y2 = put_mark(image, 120, 30, side).astype(int)
    ycrcb = to_ycrcb(compressed(image))
    mask = mark_mask(ycrcb, TARGET)
    corners = find_corners(ycrcb, mask, Search.of(TARGET, mask.shape))
    expected = [(x1, y1), (x2 - 1, y1), (x1, y2 - 1), (x2 - 1, y2 - 1)]
    for kind, place in enumerate(expected):
        off = np.abs(corners.xy[corners.kind == kind] - place).max(axis=1)
        assert off.min() <= 1
        assert abs(corners.arm[corners.kind == kind][off.argmin()] - 0.25 * side) <= 2


def test_no_corners_in_a_filled_block_or_an_empty_frame() -> None:
    image = sky()
    empty = to_ycrcb(compressed(image))
    image[100:160, 100:160] = (210, 40, 40)
    block = to_ycrcb(compressed(image))
    for ycrcb in (empty, block):
        mask = mark_mask(ycrcb, TARGET)
        assert len(find_corners(ycrcb, mask, Search.of(TARGET, mask.shape)).xy) == 0


@pytest.mark.parametrize("gap", [0, 1, 5, 40, 150])
@pytest.mark.parametrize("edge", [False, True])
def test_corners_do_not_depend_on_what_is_in_other_rows(gap: int, *, edge: bool) -> None:
    """Rows without anything on are skipped: marks above and below must not run into each other."""
    upper, lower = sky(), sky()
    height = upper.shape[0]
    top = height - 60 - gap - 60 if edge else 20
    put_mark(upper, 120, top, 60)
    put_mark(lower, 330, top + 60 + gap, 60)
    masks = [mark_mask(to_ycrcb(image), TARGET) for image in (upper, lower)]
    both = to_ycrcb(np.where((upper != sky()).any(axis=2, keepdims=True), upper, lower))

    def places(mask: np.ndarray) -> set[tuple[int, int, int]]:
        found = find_corners(both, mask, Search.of(TARGET, mask.shape))
        return set(zip(*found.xy.T.tolist(), found.kind.tolist(), strict=True))

    apart = places(masks[0]) | places(masks[1])
    assert places(masks[0] | masks[1]) == apart
    assert len(apart) >= 8
