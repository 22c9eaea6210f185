"""What a detector can be told in params.yaml: one class a kind, chosen by its ``kind``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gotowce_dagster.detectors.profile import Colour

Share = Annotated[float, Field(ge=0, le=1)]
Phrases = Annotated[list[str], Field(min_length=1)]

DESIGNATOR = {"target": ["four corner brackets around a target", "a square target bracket"]}
"""What is looked for by default: our class, and the phrases a model is asked for it."""


class Settings(BaseModel):
    """Unknown keys are refused, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CropSettings(Settings):
    """A model sees only this part of a frame, or the surroundings of what another detector finds."""

    region: tuple[Share, Share, Share, Share] | None = None
    """xyxy in shares of the frame's width and height."""
    around: "DetectorSettings | None" = None
    """A detector, told as any other; nothing found, nothing seen."""
    sides: float = Field(default=3.0, ge=1)
    """A crop around a detection is a square of so many of its longer sides."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "CropSettings":
        if (self.region is None) == (self.around is None):
            raise ValueError("crop: give either a region or a detector to look around")
        if self.region and (self.region[0] >= self.region[2] or self.region[1] >= self.region[3]):
            raise ValueError(f"crop.region: expected x1 < x2 and y1 < y2, got {list(self.region)}")
        return self


class TileSettings(Settings):
    """A model sees overlapping squares of a frame, one after the other."""

    side: int = Field(ge=32)
    """Pixels of the frame."""
    overlap: float = Field(default=0.2, ge=0, lt=0.9)
    """Share of a tile's side that the next one shows again."""
    seam_iou: Share = 0.3
    """Boxes of different tiles that share more than this of the smaller one are one object."""


class InputSettings(Settings):
    """What is done to a frame before a model sees it, in this order; boxes are brought back to the frame."""

    only_colours: Literal["profile"] | list[Colour] | None = None
    """Every pixel of another colour becomes black; ``profile``: the colours of the video's designators."""
    crop: CropSettings | None = None
    tiles: TileSettings | None = None
    scale: float = Field(default=1.0, gt=0, le=8)
    """What is left is enlarged so many times."""


class Common(Settings):
    """What every detector can be told."""

    min_confidence: Share = 0.25
    """Boxes of less confidence are left out."""
    input: InputSettings | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the weights it cannot run without; see weights.py."""
        return ()


class BracketSettings(Common):
    """Corners found by colour and geometry; see detectors/bracket.py."""

    kind: Literal["bracket"] = "bracket"
    min_confidence: Share = 0.3


class Prompted(Common):
    """What every model can be told."""

    prompts: dict[str, Phrases] = DESIGNATOR
    """Our class -> the phrases it is asked for."""
    nms_iou: Share = 0.5
    """Of boxes of one class that overlap more than this, the surest stays; for a model without classes
    of its own, of all boxes."""
    batch: int = Field(default=4, ge=1)
    """Pictures a model sees at once."""


class YoloSettings(Prompted):
    """Any detection model of ultralytics."""

    kind: Literal["yolo"] = "yolo"
    prompts: dict[str, Phrases] = {}
    """Our class -> the model's own class names; without any, all of them under their own names."""
    weights: str = "yolo26n.pt"
    """A name of weights.py, or a path from the project's folder, for instance data/model/best.pt."""
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    """Long side of what the model sees, pixels."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class YoloWorldSettings(Prompted):
    """YOLO-World: ultralytics weights that are asked by phrases."""

    kind: Literal["yolo_world"] = "yolo_world"
    weights: str = "yolov8s-worldv2.pt"
    text_encoder: str = "openai/clip-vit-base-patch32"
    """CLIP ViT-B/32, whose text embeddings the weights were trained with."""
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    min_confidence: Share = 0.005
    """Far lower than for known classes: its scores for unusual phrases are low, and their order counts."""
    background: bool = False
    """An empty phrase beside the others, whose boxes are thrown away."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights, self.text_encoder)


class ZeroShotSettings(Prompted):
    """Any model that transformers loads for zero-shot object detection: Grounding DINO, OWLv2, ..."""

    kind: Literal["zero_shot"] = "zero_shot"
    weights: str = "IDEA-Research/grounding-dino-tiny"
    text_confidence: Share = 0.25
    """Grounding DINO: a word belongs to a box's phrase from this on."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class Kosmos2Settings(Prompted):
    """Kosmos-2: describes the picture and tells where what it names is."""

    kind: Literal["kosmos2"] = "kosmos2"
    weights: str = "microsoft/kosmos-2-patch14-224"
    ask: str = "<grounding>"
    """How the text begins that the model goes on with."""
    max_tokens: int = Field(default=128, ge=1)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class MoondreamSettings(Prompted):
    """Moondream, a small vision-language model that points and draws boxes."""

    kind: Literal["moondream"] = "moondream"
    weights: str = "vikhyatk/moondream2"
    trust_remote_code: bool = False
    """Its model class comes with its weights and is run only if this is set."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class HostedSettings(Prompted):
    """A hosted vision language model."""

    kind: Literal["hosted"] = "hosted"
    model: str = ""


DetectorSettings = Annotated[
    BracketSettings
    | YoloSettings
    | YoloWorldSettings
    | ZeroShotSettings
    | Kosmos2Settings
    | MoondreamSettings
    | HostedSettings,
    Field(discriminator="kind"),
]

for _recursive in (CropSettings, InputSettings, Common):
    _recursive.model_rebuild()
