"""Settings of detectors in params.yaml: one class per kind, selected by ``kind``."""

import os
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.safe_names import ClassName, ReadablePath, readable_path

Share = Annotated[float, Field(ge=0, le=1)]
Phrases = Annotated[list[str], Field(min_length=1)]
PricesPath = Annotated[
    Path, Field(strict=False), AfterValidator(lambda path: Path(readable_path(path.as_posix())))
]

DESIGNATOR = {"target": ["four corner brackets around a target", "a square target bracket"]}
"""What is looked for by default: our class, and the phrases a model is asked for it."""


class Settings(BaseModel):
    """Unknown keys are refused, values cannot change, numbers are finite, and text is no number and no truth
    value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class CropSettings(Settings):
    """A model sees only this part of a frame, or the surroundings of what another detector finds."""

    region: Annotated[tuple[Share, Share, Share, Share], Field(strict=False)] | None = None
    """xyxy in shares of the frame's width and height."""
    around: "DetectorSettings | None" = None
    """Settings of another detector; without a detection, the model sees nothing of the frame."""
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


Channel = Literal["red", "green", "blue", "hue", "saturation", "value", "y", "cr", "cb"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
"""Of RGB, HSV and YCrCb as OpenCV has them in 8 bits; hue goes to 179."""
_Level = Annotated[int, Field(ge=0, le=255)]


class Threshold(Settings):
    """Pixels of one channel that are at least, or at most, so high."""

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
    """What is done to a frame before a model sees it, in this order; boxes are brought back to the frame."""

    only_colours: Literal["profile"] | list[Colour] | None = None
    """Every pixel of another colour becomes black; ``profile``: the colours of the video's designators."""
    threshold: Literal["auto"] | Threshold | None = None
    """Every other pixel becomes black; ``auto``: in each frame the threshold that separates the colours of
    the video's designators best from all else. The study mark_colours tells fixed ones."""
    crop: CropSettings | None = None
    tiles: TileSettings | None = None
    scale: float = Field(default=1.0, gt=0, le=8)
    """What is left is enlarged so many times."""
    seam: Share = 0.3
    """Boxes of one class in different pieces that share more than this of the smaller are one object."""


class Common(Settings):
    """Settings of every detector."""

    min_confidence: Share = 0.25
    """Boxes of less confidence are left out. Each kind has its own, for their confidences are on scales of
    their own."""
    input: InputSettings | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the weights it cannot run without; see weights.py."""
        return ()

    @property
    def extra(self) -> str | None:
        """The optional dependency it cannot run without; see core/extras.py."""
        return None

    def obstacle(self) -> str | None:
        """Why it cannot run here, weights apart, and what to do; None if nothing else is in the way."""
        return None


class BracketSettings(Common):
    """Corners found by colour and geometry; see designators/bracket.py."""

    kind: Literal["bracket"] = "bracket"
    min_confidence: Share = 0.5


class Prompted(Common):
    """Settings of every model."""

    prompts: dict[ClassName, Phrases] = DESIGNATOR
    """Our class -> the phrases it is asked for."""
    nms_iou: Share = 0.5
    """Of boxes of one class that overlap more than this, the surest stays; yolo_world: of any class."""
    batch: int = Field(default=4, ge=1)
    """Pictures a model sees at once."""


class YoloSettings(Prompted):
    """Any detection model of ultralytics."""

    kind: Literal["yolo"] = "yolo"
    prompts: dict[ClassName, Phrases] = {}
    """Our class -> the model's own class names; without any, all of them under their own names."""
    weights: ReadablePath = "yolo26n.pt"
    """A name of weights.py, or a path from the project's folder, for instance data/weights/round1.pt."""
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    """Long side of what the model sees, pixels."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class YoloWorldSettings(Prompted):
    """YOLO-World: ultralytics weights that are asked by phrases."""

    kind: Literal["yolo_world"] = "yolo_world"
    weights: ReadablePath = "yolov8s-worldv2.pt"
    text_encoder: ReadablePath = "openai/clip-vit-base-patch32"
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
    weights: ReadablePath = "IDEA-Research/grounding-dino-tiny"
    text_confidence: Share = 0.25
    """Grounding DINO: a word belongs to a box's phrase from this on."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class Kosmos2Settings(Prompted):
    """Kosmos-2: an image caption with grounded boxes."""

    kind: Literal["kosmos2"] = "kosmos2"
    weights: ReadablePath = "microsoft/kosmos-2-patch14-224"
    ask: str = "<grounding>"
    """How the text begins that the model goes on with; with ``{phrase}`` in it, asked for each phrase, as in
    ``<grounding><phrase>{phrase}</phrase>``."""
    max_tokens: int = Field(default=128, ge=1)
    """The text ends after so many."""
    least_shared: Share = 0.6
    """A thing it names is ours if it and one of our phrases share so much of the words of the shorter."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class MoondreamSettings(Prompted):
    """Moondream, a small vision-language model that points and draws boxes."""

    kind: Literal["moondream"] = "moondream"
    weights: ReadablePath = "vikhyatk/moondream2"
    trust_remote_code: bool = False
    """Its model class comes with its weights and is run only if this is set."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)

    def obstacle(self) -> str | None:
        if self.trust_remote_code:
            return None
        return (
            f"{self.weights} brings code of its own, which is run only if you allow it: read it, then set "
            f"trust_remote_code: true; or use the kind moondream_server"
        )


class CaptionerSettings(Settings):
    """Any image-to-text model of ``transformers``, such as BLIP: describes pictures and finds no boxes."""

    kind: Literal["captioner"] = "captioner"
    weights: ReadablePath = "Salesforce/blip-image-captioning-base"
    ask: str = ""
    """How the text begins that the model goes on with; some models need one."""
    max_tokens: int = Field(default=64, ge=1)
    """The text ends after so many."""
    batch: int = Field(default=4, ge=1)
    """Pictures a model sees at once."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class Online(Prompted):
    """Settings of every detector that sends requests to a server."""

    send: bool = False
    """Nothing leaves this machine unless this is set; answers kept from before are used either way."""
    key_variable: str | None = None
    """The environment variable that holds the key, where it is not the provider's usual one."""
    image_px: int = Field(default=1568, ge=64)
    """Pictures with a longer side than this are made smaller before they are sent; pixels."""
    image_format: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    requests_per_minute: float | None = Field(default=50, gt=0)
    """No more than this; null: as fast as answers come."""
    parallel: int = Field(default=4, ge=1)
    """Requests under way at once."""
    retries: int = Field(default=4, ge=0)
    """How often a request is sent again when the server is busy, fails or is silent."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds to wait for an answer."""

    @property
    def extra(self) -> str | None:
        return "hosted"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Where the key may be; the first that is set counts. Without any, the server needs none."""
        return (self.key_variable,) if self.key_variable else ()

    def key_found(self) -> str | None:
        """The first of key_variables that is set."""
        return next((name for name in self.key_variables if os.environ.get(name, "").strip()), None)

    def obstacle(self) -> str | None:
        if not self.send or not self.key_variables or self.key_found():
            return None
        return f"no key: set the environment variable {' or '.join(self.key_variables)}"


class HostedSettings(Online):
    """A vision language model behind an address: Claude, GPT, Gemini, or one that speaks as OpenAI's do."""

    kind: Literal["hosted"] = "hosted"
    provider: Literal["anthropic", "openai", "google", "compatible"]
    """``compatible``: any server that speaks OpenAI's chat protocol, at ``base_url``."""
    model: str = Field(min_length=1)
    base_url: str | None = None
    """The server's address, where it is not the provider's own."""
    answer: Literal["tool", "schema", "text"] = "tool"
    """How the response format is specified: a tool's arguments, the server's JSON schema, or text."""
    coordinates: Literal["pixel", "unit", "thousand"] = "pixel"
    """What the model is asked to measure in: pixels of the picture it sees, shares of its sides (0 to 1),
    or thousandths of them. Whichever it uses is understood, and counted where it was another."""
    refine: str | None = None
    """A second question about boxes that were found, for instance "only the bracket itself"."""
    max_tokens: int = Field(default=4096, ge=64)
    """An answer is cut off after so many tokens, those of its thinking included."""
    budget: float | None = Field(default=None, ge=0)
    """US dollars that may be spent each time the detector is loaded: for each video of the pipeline, and
    again in each run. A request that might cost more than is left is not sent."""
    prices: PricesPath | None = None
    """Your own table of prices, a path from the project's folder; default: the table of the package
    genai-prices."""

    @property
    def key_variables(self) -> tuple[str, ...]:
        return super().key_variables or {
            "anthropic": ("ANTHROPIC_API_KEY",),
            "openai": ("OPENAI_API_KEY",),
            "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        }.get(self.provider, ())

    @model_validator(mode="after")
    def _address(self) -> "HostedSettings":
        if self.provider == "compatible" and self.base_url is None:
            raise ValueError("base_url: a compatible server needs its address, as http://localhost:8000/v1")
        return self


class MoondreamServerSettings(Online):
    """Moondream behind its own protocol: a local server or its cloud."""

    kind: Literal["moondream_server"] = "moondream_server"
    base_url: str = "http://localhost:2020/v1"
    """The server's address; its cloud is https://api.moondream.ai/v1, which needs ``key_variable``."""
    image_px: int = Field(default=2048, ge=64)


_Any = (
    BracketSettings
    | YoloSettings
    | YoloWorldSettings
    | ZeroShotSettings
    | Kosmos2Settings
    | MoondreamSettings
    | HostedSettings
    | MoondreamServerSettings
)
DetectorSettings = Annotated[_Any, Field(discriminator="kind")]
OpenSettings = Annotated[YoloWorldSettings | ZeroShotSettings, Field(discriminator="kind")]
"""What can be asked for any phrase and has confidences."""
DescriberSettings = Annotated[
    Kosmos2Settings | MoondreamSettings | MoondreamServerSettings | CaptionerSettings,
    Field(discriminator="kind"),
]
"""What can describe a picture in words; see detectors/describe.py."""

KINDS: tuple[str, ...] = tuple(kind.model_fields["kind"].default for kind in get_args(_Any))

for _recursive in (CropSettings, InputSettings, Common):
    _recursive.model_rebuild()
