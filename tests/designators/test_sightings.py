import numpy as np

from gotowce_dagster.designators.sightings import different_frames, is_same_frame


def test_frames_that_differ_in_a_small_mark_are_two() -> None:
    one, other = (np.zeros((240, 320, 3), np.uint8) for _ in range(2))
    one[97:109, 129:143], other[97:109, 209:223] = 255, 255
    assert not is_same_frame(one, other)
    assert is_same_frame(one, one.copy())
    assert not is_same_frame(one, one[:200])
    assert different_frames([one, one.copy(), other, one]) == [0, 2]
