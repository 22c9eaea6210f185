"""Masks as Label Studio's bitmasks: data URLs of PNG images whose background is transparent.

Our own PNGs have one bit per pixel and are written and read here: Pillow needs a byte per pixel and takes
three times as long, and there are thousands of masks. Pillow reads the PNGs that a browser painted.
"""

import base64
import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL.PngImagePlugin import PngImageFile

# Bitmasks edited in the browser have soft edges.
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
    """Encode a bool mask (H, W) as a data URL."""
    height, width = mask.shape
    # Every row begins with its filter type: 0, none.
    rows = np.zeros((height, 1 + (width + 7) // 8), np.uint8)
    rows[:, 1:] = np.packbits(mask, axis=1)
    image = _head(width, height, colour) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), _FAST)) + _END
    return _PREFIX + base64.b64encode(image).decode("ascii")


def url_to_mask(url: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a data URL to a bool mask (H, W): pixels with an alpha above one half.

    Args:
        size: Expected (width, height). Another size is refused before any pixel is decoded.

    Raises:
        ValueError: The URL has no image, a damaged one, or one of another size.
    """
    data = base64.b64decode(url.partition(",")[2])
    # Not Image.open: ultralytics replaces it once it is imported.
    try:
        png = PngImageFile(io.BytesIO(data))
    except (SyntaxError, OSError, struct.error, ValueError) as error:
        raise ValueError(f"the mask is not a PNG image ({error})") from None
    with png as image:
        if size is not None and image.size != size:
            raise ValueError(f"the mask has {image.size} pixels, but the frame has {size}")
        try:
            if data.startswith(head := _head(*image.size, WHITE)):
                return _read_pixels(data[len(head) :], *image.size)
            return np.asarray(image.convert("RGBA"))[:, :, 3] > _SOLID_ALPHA
        except (SyntaxError, OSError, struct.error, zlib.error, ValueError) as error:
            raise ValueError(f"the PNG image of the mask is damaged ({error})") from None


def _read_pixels(chunk: bytes, width: int, height: int) -> np.ndarray:
    """Decode the pixels that follow the header of an image written by mask_to_url."""
    (length,) = struct.unpack_from(">I", chunk)
    row_bytes = 1 + (width + 7) // 8
    # Limit the output to the image's size, whatever the compressed data expands to.
    pixels = zlib.decompressobj().decompress(chunk[8 : 8 + length], height * row_bytes)
    rows = np.frombuffer(pixels, np.uint8).reshape(height, row_bytes)
    return np.unpackbits(rows[:, 1:], axis=1, count=width).view(bool)


def _head(width: int, height: int, colour: Colour) -> bytes:
    """The header before the pixels: size, software, a one-bit palette with a transparent background."""
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
