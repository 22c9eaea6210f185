"""Masks as text: COCO's compressed run-length encoding, as pycocotools writes it.

A target is small in its frame, so encoding and decoding process only the columns it covers; pycocotools
processes the whole frame, which takes several times as long at 1080p.
"""

import numpy as np
from pycocotools import mask as coco

_LONGEST_NUMBER = 8
"""Maximum characters of a number: with five bits each they cover every mask, and more would overflow here."""


def encode(mask: np.ndarray) -> str:
    """Encode a bool mask (H, W) as counts."""
    columns = np.flatnonzero(mask.any(axis=0))
    first, end = (columns[0], columns[-1] + 1) if len(columns) else (0, 0)
    pixels = mask[:, first:end].ravel(order="F")
    turns = np.flatnonzero(np.diff(pixels, prepend=False, append=False)) + first * len(mask)
    runs = np.diff(np.union1d(turns, mask.size), prepend=0)
    return coco.frPyObjects({"counts": runs.tolist(), "size": mask.shape}, *mask.shape)["counts"].decode()


def area(counts: str, height: int, width: int) -> int:
    """Count the pixels of an encoded mask (height, width) without decoding it.

    Raises:
        ValueError: see decode.
    """
    return int(_checked_runs(counts, height, width)[1::2].sum())


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """Decode counts to a bool mask (height, width).

    Raises:
        ValueError: the counts are not those of a mask of this size.
    """
    runs = _checked_runs(counts, height, width)
    mask = np.zeros((height, width), bool)
    first = runs[0] // height
    runs[0] -= first * height
    if len(runs) % 2:  # the last run is background: keep only what completes its first column
        runs[-1] = -runs[:-1].sum() % height
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    part = pixels.reshape(-1, height).T
    mask[:, first : first + part.shape[1]] = part
    return mask


def _checked_runs(counts: str, height: int, width: int) -> np.ndarray:
    """Decode the run lengths of a mask and check them against its size."""
    codes = np.frombuffer(counts.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    # Otherwise the text ends in the middle of a number, or is not COCO's encoding.
    is_whole = len(codes) > 0 and codes[-1] < 32 and ((codes >= 0) & (codes < 64)).all()
    runs = _runs(codes) if is_whole else np.zeros(0, np.int64)
    if not is_whole or runs.sum() != height * width or (runs < 0).any():
        raise ValueError(f"no mask of {width} x {height} pixels: {counts[:40]!r}")
    return runs


def _runs(codes: np.ndarray) -> np.ndarray:
    """Decode run lengths, the first of background (rleFrString in COCO's maskApi.c).

    Each character holds five bits, least significant first; from the fourth run on the numbers are
    differences from the run two before.

    Args:
        codes: int64, 0 to 63, one per character.
    """
    ends = np.flatnonzero(codes < 32)
    starts = np.append(0, ends[:-1] + 1)
    if (ends - starts).max() >= _LONGEST_NUMBER:
        return np.zeros(0, np.int64)
    places = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    runs = np.add.reduceat((codes & 31) << (5 * places), starts)
    is_negative = codes[ends] & 16 > 0
    runs -= is_negative * (np.int64(32) << (5 * places[ends]))
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
