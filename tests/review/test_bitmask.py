import base64
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from gotowce_dagster.review.bitmask import Colour, mask_to_url, url_to_mask


def _url(rgba: np.ndarray, **options: object) -> str:
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG", **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


_MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(_MASKS)
def test_bitmasks_round_trip_exactly(mask: np.ndarray) -> None:
    assert np.array_equal(url_to_mask(mask_to_url(mask)), mask)
    assert np.array_equal(url_to_mask(mask_to_url(np.asfortranarray(mask))), mask)


@given(_MASKS)
def test_pillow_decodes_the_same_mask(mask: np.ndarray) -> None:
    """Pillow encodes as a browser would."""
    for colour in (Colour(255, 255, 255, 255), Colour(86, 180, 233, 130)):
        seen = np.asarray(_picture(mask_to_url(mask, colour)).convert("RGBA"))
        assert np.array_equal(seen[:, :, 3] > 0, mask)
        assert (seen[mask] == colour).all()


@given(_MASKS)
def test_images_of_other_encoders_are_decoded(mask: np.ndarray) -> None:
    rgba = np.dstack([np.full((*mask.shape, 3), 200, np.uint8), mask * np.uint8(255)])
    assert np.array_equal(url_to_mask(_url(rgba)), mask)


def test_alpha_above_half_is_mask() -> None:
    rgba = np.zeros((1, 4, 4), np.uint8)
    rgba[0, :, 3] = [0, 127, 128, 255]
    assert url_to_mask(_url(rgba)).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("cut", [20, 50, 150], ids=["in the head", "in the palette", "in the pixels"])
def test_a_damaged_image_is_refused(cut: int) -> None:
    rng = np.random.default_rng(0)
    data = base64.b64decode(mask_to_url(rng.random((50, 50)) < 0.5).partition(",")[2])
    with pytest.raises((ValueError, OSError)):
        url_to_mask("data:image/png;base64," + base64.b64encode(data[:cut]).decode())


def test_another_size_is_refused_before_decoding() -> None:
    url = mask_to_url(np.ones((9, 7), bool))
    assert url_to_mask(url, (7, 9)).all()
    with pytest.raises(ValueError, match=r"the mask has \(7, 9\) pixels, but the frame has \(9, 7\)"):
        url_to_mask(url, (9, 7))


def test_decompression_stops_at_the_image_size() -> None:
    data = base64.b64decode(mask_to_url(np.ones((9, 7), bool)).partition(",")[2])
    start = data.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", data, start)
    bomb = zlib.compress(bytes(50_000_000))
    packed = data[:start] + struct.pack(">I", len(bomb)) + b"IDAT" + bomb + data[start + 8 + length :]
    url = "data:image/png;base64," + base64.b64encode(packed).decode()
    tracemalloc.start()
    assert not url_to_mask(url, (7, 9)).any()
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
