"""Quality scores of a frame, computed from its luma without conversion to RGB."""

import cv2
import numpy as np

_HASH_SIDE, _DCT_SIDE = 8, 32


def sharpness(luma: np.ndarray) -> float:
    """Compute the variance of the Laplacian, which is low in a blurred frame.

    Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.

    Args:
        luma: uint8 (H, W). At half the size of the frame, compression noise has less influence.
    """
    edges = cv2.Laplacian(luma, cv2.CV_16S)
    return cv2.norm(edges, cv2.NORM_L2SQR) / edges.size - cv2.mean(edges)[0] ** 2


def shrink(luma: np.ndarray) -> np.ndarray:
    """Halve the size; each pixel is the mean of four."""
    return squeeze(luma, 2, 2)


def squeeze(luma: np.ndarray, across: int, down: int) -> np.ndarray:
    """Shrink by integer factors in x and y; each pixel is the mean of the pixels it replaces."""
    height, width = luma.shape
    return cv2.resize(luma, (width // across or 1, height // down or 1), interpolation=cv2.INTER_AREA)


def phash(luma: np.ndarray) -> int:
    """Compute a perceptual hash: which of the lowest 8 x 8 frequencies exceed their median.

    Like imagehash.phash except for averaging down to 32 x 32, which is several times faster: at most a few of
    the 64 bits differ. <https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html>

    Args:
        luma: uint8 (H, W).
    """
    while min(luma.shape) >= 4 * _DCT_SIDE:  # halving is fast, resizing by other factors is not
        luma = shrink(luma)
    small = cv2.resize(luma, (_DCT_SIDE, _DCT_SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float64))[:_HASH_SIDE, :_HASH_SIDE]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def change(before: np.ndarray, after: np.ndarray) -> float:
    """Compute the largest difference between two luma images, in levels of 255; 255 if their sizes differ."""
    return 255.0 if before.shape != after.shape else cv2.norm(before, after, cv2.NORM_INF)
