import numpy as np
import pytest

from gotowce_dagster.segmenters.prompts import Prompt, batches, point, ring, whole

BOX = np.array([10.0, 20, 30, 40])


def test_prompts_of_one_length_share_a_batch_across_crops() -> None:
    asked = [[point(BOX), ring(BOX), whole(BOX)], [], [whole(BOX + 5), point(BOX + 5)]]
    found = {tuple(batch.places): batch for batch in batches(asked, 10)}
    assert set(found) == {((0, 0), (2, 1)), ((0, 1),), ((0, 2), (2, 0))}
    points = found[(0, 0), (2, 1)]
    assert points.points.tolist() == [[[20, 30]], [[25, 35]]]
    assert points.labels.tolist() == [[1], [1]]
    boxes = found[(0, 2), (2, 0)]
    assert boxes.points.tolist() == [[[10, 20], [30, 40]], [[15, 25], [35, 45]]]
    assert boxes.labels.tolist() == [[2, 3], [2, 3]]


def test_box_with_points_becomes_its_corners_then_the_points() -> None:
    both = Prompt(np.array([[20.0, 30], [1, 2]]), np.array([1, 0]), BOX)
    (batch,) = batches([[both]], 10)
    assert batch.points.tolist() == [[[10, 20], [30, 40], [20, 30], [1, 2]]]
    assert batch.labels.tolist() == [[2, 3, 1, 0]]


@pytest.mark.parametrize(("at_most", "sizes"), [(2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_batch_size_is_limited(at_most: int, sizes: list[int]) -> None:
    found = list(batches([[point(BOX)] * 3, [point(BOX)] * 2], at_most))
    assert [len(batch.places) for batch in found] == sizes
    assert [place for batch in found for place in batch.places] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    "prompt", [Prompt(), Prompt(mask=np.ones((4, 4), bool))], ids=["nothing", "only a mask"]
)
def test_unsupported_prompts_are_refused(prompt: Prompt) -> None:
    with pytest.raises(ValueError, match="needs points with labels, or a box"):
        list(batches([[prompt]], 4))
