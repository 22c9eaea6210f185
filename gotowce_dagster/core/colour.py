"""A cluster of colours, as profiles and settings of detectors name it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Byte = Annotated[int, Field(ge=0, le=255, strict=True)]


class Colour(BaseModel):
    """One cluster of the colours that a mark has in the decoded video: a box in YCrCb.

    The space is OpenCV's 8-bit YCrCb of an RGB image: luma 0 to 255, a grey has Cr = Cb = 128.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ycrcb: tuple[Byte, Byte, Byte]
    """The middle of the box."""
    tolerance: tuple[Byte, Byte, Byte]
    """How far a pixel may be from it, in each of Y, Cr and Cb."""

    @property
    def bounds(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Lowest and highest YCrCb that still count, both inclusive."""
        pairs = list(zip(self.ycrcb, self.tolerance, strict=True))
        return tuple(max(c - t, 0) for c, t in pairs), tuple(min(c + t, 255) for c, t in pairs)
