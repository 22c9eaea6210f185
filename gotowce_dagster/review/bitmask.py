"""Masks as Label Studio's bitmasks: data URLs of PNG pictures in which what is not the mask is transparent.

Ours have one bit a pixel and are written and read here, because Pillow takes a byte a pixel and three times
as long, and there are thousands of them. What a browser painted is any PNG, and Pillow reads it.
"""

import base64
import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL.PngImagePlugin import PngImageFile

# Edited bitmasks come back with soft edges.
_SOLID_ALPHA = 127
_FAST = 1  # zlib's level
_PREFIX = "data:image/png;base64,"


class Colour(NamedTuple):
    red: int
    green: int
    blue: int
    alpha: int


WHITE = Colour(255, 255, 255, 255)


def mask_to_url(mask: np.ndarray, colour: Colour = WHITE) -> str:
    """A bool mask (H, W) as a data URL."""
    height, width = mask.shape
    # Every row begins with its filter: none.
    rows = np.zeros((height, 1 + (width + 7) // 8), np.uint8)
    rows[:, 1:] = np.packbits(mask, axis=1)
    picture = _head(width, height, colour) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), _FAST)) + _END
    return _PREFIX + base64.b64encode(picture).decode("ascii")


def url_to_mask(url: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """The bool mask (H, W) of a data URL: what is more opaque than not.

    Args:
        size: (width, height) that it must have; another one is refused before any pixel is decoded.

    Raises:
        ValueError: it holds no picture, a damaged one, or one of another size.
    """
    data = base64.b64decode(url.partition(",")[2])
    # Not Image.open: ultralytics, where it was imported, puts another in its place.
    try:
        png = PngImageFile(io.BytesIO(data))
    except (SyntaxError, OSError, struct.error, ValueError) as error:
        raise ValueError(f"a mask that is no picture ({error})") from None
    with png as picture:
        if size is not None and picture.size != size:
            raise ValueError(f"a mask of {picture.size} pixels on a frame of {size}")
        try:
            if data.startswith(head := _head(*picture.size, WHITE)):
                return _read_pixels(data[len(head) :], *picture.size)
            return np.asarray(picture.convert("RGBA"))[:, :, 3] > _SOLID_ALPHA
        except (SyntaxError, OSError, struct.error, zlib.error, ValueError) as error:
            raise ValueError(f"a mask whose picture is damaged ({error})") from None


def _read_pixels(chunk: bytes, width: int, height: int) -> np.ndarray:
    """The mask in what follows the head of a picture that mask_to_url wrote."""
    (length,) = struct.unpack_from(">I", chunk)
    row_bytes = 1 + (width + 7) // 8
    # No more than the picture holds, whatever is packed in there.
    pixels = zlib.decompressobj().decompress(chunk[8 : 8 + length], height * row_bytes)
    rows = np.frombuffer(pixels, np.uint8).reshape(height, row_bytes)
    return np.unpackbits(rows[:, 1:], axis=1, count=width).view(bool)


def _head(width: int, height: int, colour: Colour) -> bytes:
    """All up to the pixels: size, who wrote it, a palette of one bit; what is not the mask is clear."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0))
        + _chunk(b"tEXt", b"Software\0gotowce-dagster")
        + _chunk(b"PLTE", bytes([0, 0, 0, *colour[:3]]))
        + _chunk(b"tRNS", bytes([0, colour.alpha]))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_END = _chunk(b"IEND", b"")
