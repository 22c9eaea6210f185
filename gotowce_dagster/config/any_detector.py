"""What the settings of all detectors have in common: confidences, prompts, and the preparation of frames."""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field, model_validator

from gotowce_dagster.config.settings import Settings
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.safe_names import ClassName

if TYPE_CHECKING:
    from gotowce_dagster.config.detector_settings import DetectorSettings

Share = Annotated[float, Field(ge=0, le=1)]
Phrases = Annotated[list[str], Field(min_length=1)]

DESIGNATOR = {"target": ["four corner brackets around a target", "a square target bracket"]}
"""The default prompts: the class name and its phrases."""


class CropSettings(Settings):
    """Crops of a frame as input: a fixed region, or squares around another detector's boxes."""

    region: Annotated[tuple[Share, Share, Share, Share], Field(strict=False)] | None = None
    """xyxy as fractions of the frame's width and height."""
    around: "DetectorSettings | None" = None
    """Settings of the other detector; without a detection, the model is not run on the frame."""
    sides: float = Field(default=3.0, ge=1)
    """Side of the square around a detection, in its longer sides."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "CropSettings":
        if (self.region is None) == (self.around is None):
            raise ValueError("crop: give either a region or a detector to crop around")
        if self.region and (self.region[0] >= self.region[2] or self.region[1] >= self.region[3]):
            raise ValueError(f"crop.region: expected x1 < x2 and y1 < y2, got {list(self.region)}")
        return self


class TileSettings(Settings):
    """Overlapping square tiles of a frame as input."""

    side: int = Field(ge=32)
    """Pixels of the frame."""
    overlap: float = Field(default=0.2, ge=0, lt=0.9)
    """Overlap of neighbouring tiles as a fraction of their side."""


Channel = Literal["red", "green", "blue", "hue", "saturation", "value", "y", "cr", "cb"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
"""Channels of RGB, HSV and YCrCb in OpenCV's 8 bits; hue ends at 179."""
_Level = Annotated[int, Field(ge=0, le=255)]


class Threshold(Settings):
    """A lower or an upper limit on one channel."""

    channel: Channel
    at_least: _Level | None = None
    at_most: _Level | None = None

    def __str__(self) -> str:
        sign, level = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{self.channel} {sign} {level}"

    @model_validator(mode="after")
    def _one_side(self) -> "Threshold":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("threshold: give either at_least or at_most")
        return self


class InputSettings(Settings):
    """Preprocessing of frames, in this order; boxes are mapped back to the frame."""

    only_colours: Literal["profile"] | list[Colour] | None = None
    """Every pixel of another colour becomes black; ``profile``: the colours of the video's designators."""
    threshold: Literal["auto"] | Threshold | None = None
    """Every other pixel becomes black; ``auto``: in each frame the threshold that separates the colours of
    the video's designators best from all else. The study mark_colours finds fixed ones."""
    crop: CropSettings | None = None
    tiles: TileSettings | None = None
    scale: float = Field(default=1.0, gt=0, le=8)
    """Enlargement of the result."""
    seam: Share = 0.3
    """Boxes of one class in different pieces are one object above this intersection over the smaller area."""


class Common(Settings):
    """Settings of every detector."""

    min_confidence: Share = 0.25
    """Boxes below it are dropped. Defaults differ by kind, because confidences have different scales."""
    input: InputSettings | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the weights it needs; see core/weights.py."""
        return ()

    @property
    def extra(self) -> str | None:
        """The optional dependency it needs; see core/extras.py."""
        return None

    def obstacle(self) -> str | None:
        """Why it cannot run on this machine, apart from weights, and the fix; None if it can."""
        return None


class Model(Common):
    """Settings of every model."""

    nms_iou: Share = 0.5
    """IoU of non-maximum suppression, per class; yolo_world: across classes."""
    batch: int = Field(default=4, ge=1)
    """Images per batch."""


class Prompted(Model):
    """Settings of every model that is prompted with phrases."""

    prompts: dict[ClassName, Phrases] = DESIGNATOR
    """Class name -> its phrases."""
