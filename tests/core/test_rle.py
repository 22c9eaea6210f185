import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from gotowce_dagster.core import rle

_MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30)))


@given(_MASKS)
def test_masks_round_trip(mask: np.ndarray) -> None:
    counts = rle.encode(mask)
    assert counts.isascii()
    assert np.array_equal(rle.decode(counts, *mask.shape), mask)


@given(_MASKS, st.booleans())
def test_counts_equal_those_of_pycocotools(mask: np.ndarray, by_columns: bool) -> None:
    fortran = np.asfortranarray(mask, np.uint8)
    counts = rle.encode(np.asfortranarray(mask) if by_columns else mask)
    assert counts == coco.encode(fortran)["counts"].decode()


def test_runs_longer_than_one_character() -> None:
    mask = np.zeros((1080, 1920), bool)
    mask[200:900, 300:1500] = mask[:, 1919] = True
    mask[500:510, 700:702] = False
    counts = rle.encode(mask)
    assert counts == coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert np.array_equal(rle.decode(counts, 1080, 1920), mask)


@pytest.mark.parametrize("size", [(8, 9), (9, 8), (1, 1)])
def test_counts_of_another_size_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no mask of"):
        rle.decode(rle.encode(np.ones((8, 8), bool)), *size)


@pytest.mark.parametrize("counts", ["", "`", "zz"])
def test_counts_that_end_within_a_number_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="no mask of"):
        rle.decode(counts, 8, 8)
