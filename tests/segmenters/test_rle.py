import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gotowce_dagster.segmenters import rle


@given(hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))))
def test_masks_come_back(mask: np.ndarray) -> None:
    counts = rle.encode(mask)
    assert counts.isascii()
    assert np.array_equal(rle.decode(counts, *mask.shape), mask)
