"""Settings of detectors in params.yaml: one class per kind, selected by ``kind``."""

import os
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gotowce_dagster.core import weights
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.safe_names import ClassName, ReadablePath, readable_path

Share = Annotated[float, Field(ge=0, le=1)]
Phrases = Annotated[list[str], Field(min_length=1)]
PricesPath = Annotated[
    Path, Field(strict=False), AfterValidator(lambda path: Path(readable_path(path.as_posix())))
]

DESIGNATOR = {"target": ["four corner brackets around a target", "a square target bracket"]}
"""The default prompts: the class name and its phrases."""


class Settings(BaseModel):
    """Unknown keys are refused, values cannot change, numbers are finite, and text is no number and no truth
    value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
    """Boxes below it are dropped. Defaults differ by kind, because the scales of confidences do."""
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


class BracketSettings(Common):
    """Corners found by colour and geometry; see designators/bracket.py."""

    kind: Literal["bracket"] = "bracket"
    min_confidence: Share = 0.5


class Prompted(Common):
    """Settings of every model."""

    prompts: dict[ClassName, Phrases] = DESIGNATOR
    """Class name -> its phrases."""
    nms_iou: Share = 0.5
    """IoU of non-maximum suppression, per class; yolo_world: across classes."""
    batch: int = Field(default=4, ge=1)
    """Images per batch."""


class YoloSettings(Prompted):
    """Any detection model of ultralytics."""

    kind: Literal["yolo"] = "yolo"
    prompts: dict[ClassName, Phrases] = {}
    """Class name -> the model's own class names; if empty, all of the model's classes."""
    weights: ReadablePath = "yolo26n.pt"
    """A name in core/weights.py, or a path below the project, for instance data/weights/round1.pt."""
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    """Long side of the model's input in pixels."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class YoloWorldSettings(Prompted):
    """YOLO-World: open-vocabulary weights of ultralytics."""

    kind: Literal["yolo_world"] = "yolo_world"
    weights: ReadablePath = "yolov8s-worldv2.pt"
    text_encoder: ReadablePath = "openai/clip-vit-base-patch32"
    """CLIP ViT-B/32, the text encoder of the weights' training."""
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    min_confidence: Share = 0.005
    """Low, because scores of unusual phrases are low; only their order matters."""
    background: bool = False
    """Add an empty phrase, whose boxes are dropped."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights, self.text_encoder)


class RfDetrSettings(Prompted):
    """RF-DETR or D-FINE, detectors of fixed classes, in a folder."""

    kind: Literal["rfdetr"] = "rfdetr"
    prompts: dict[ClassName, Phrases] = {}
    """Our class -> the model's own class names; without any, all of them under their own names."""
    weights: ReadablePath = "Roboflow/rf-detr-nano"
    """A name of weights.py, or a folder, for instance a copy of data/model/best."""
    input_px: int | None = Field(default=None, ge=32)
    """Side of the square that a picture is stretched to, pixels; null: as the folder says."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class Florence2Settings(Prompted):
    """Florence-2: one small model for detection by phrases and for captions, asked by task tokens."""

    kind: Literal["florence2"] = "florence2"
    weights: ReadablePath = "florence-community/Florence-2-base"
    task: Literal["<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>", "<OD>"] = (
        "<OPEN_VOCABULARY_DETECTION>"
    )
    """The first two are asked for each phrase; ``<OD>`` once, for whatever the model names."""
    max_tokens: int = Field(default=256, ge=1)
    """The answer ends after so many."""
    beams: int = Field(default=3, ge=1)
    """Beams of the search for the answer."""
    least_shared: Share = 0.6
    """A thing it names is ours if it and one of our phrases share so much of the words of the shorter."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class ByExample(Common):
    """Settings of models that are shown boxes of what is looked for."""

    examples: ReadablePath
    """A CSV with the columns picture, class_name, x1, y1, x2, y2: some boxes of each class, to be averaged;
    pictures are named relative to it."""
    nms_iou: Share = 0.5
    """Of boxes of one class that overlap more than this, the surest stays."""
    batch: int = Field(default=4, ge=1)
    """Pictures a model sees at once."""


class Owlv2Settings(ByExample):
    """OWLv2, asked by example boxes."""

    kind: Literal["owlv2"] = "owlv2"
    weights: ReadablePath = "google/owlv2-base-patch16-ensemble"
    min_confidence: Share = 0.6
    """Higher than for phrases: everything is a little like an example."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class YoloeSettings(ByExample):
    """YOLOE, asked by example boxes (visual prompts)."""

    kind: Literal["yoloe"] = "yoloe"
    weights: ReadablePath = "yoloe-11s-seg.pt"
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    """Long side of what the model sees, pixels; of the pictures with examples too."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class Sam3Settings(Prompted):
    """SAM 3: whatever a short phrase names, found and segmented; here its boxes."""

    kind: Literal["sam3"] = "sam3"
    weights: ReadablePath = "facebook/sam3"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)

    def obstacle(self) -> str | None:
        if self.weights != "facebook/sam3" or weights.find(self.weights):
            return None
        return (
            f"{self.weights} is gated: accept its licence at https://huggingface.co/{self.weights}, then run "
            f"`{weights.command_by_hand(self.weights)}`"
        )


class ZeroShotSettings(Prompted):
    """Any model that transformers loads for zero-shot object detection: Grounding DINO, OWLv2, ..."""

    kind: Literal["zero_shot"] = "zero_shot"
    weights: ReadablePath = "IDEA-Research/grounding-dino-tiny"
    text_confidence: Share = 0.25
    """Grounding DINO: minimum score of a word to belong to a box's phrase."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class Kosmos2Settings(Prompted):
    """Kosmos-2: an image caption with grounded boxes."""

    kind: Literal["kosmos2"] = "kosmos2"
    weights: ReadablePath = "microsoft/kosmos-2-patch14-224"
    ask: str = "<grounding>"
    """The beginning of the text that the model continues. With ``{phrase}``, it runs once per phrase, as in
    ``<grounding><phrase>{phrase}</phrase>``."""
    max_tokens: int = Field(default=128, ge=1)
    """Maximum length of the text."""
    least_shared: Share = 0.6
    """Minimum share of words that an object's name and a phrase have in common, of the shorter one."""

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
    """The environment variable with the key; default: the provider's usual one."""
    image_px: int = Field(default=1568, ge=64)
    """Longest side of a sent image in pixels; larger images are reduced."""
    image_format: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    requests_per_minute: float | None = Field(default=50, gt=0)
    """Rate limit; null: none."""
    parallel: int = Field(default=4, ge=1)
    """Concurrent requests."""
    retries: int = Field(default=4, ge=0)
    """Retries if the server is busy, fails or does not respond."""
    timeout_s: float = Field(default=120, gt=0)
    """Timeout of a request in seconds."""

    @property
    def extra(self) -> str | None:
        return "hosted"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables that may contain the key, in order; empty if the server needs none."""
        return (self.key_variable,) if self.key_variable else ()

    def key_found(self) -> str | None:
        """The first of key_variables that is set."""
        return next((name for name in self.key_variables if os.environ.get(name, "").strip()), None)

    def obstacle(self) -> str | None:
        if not self.send or not self.key_variables or self.key_found():
            return None
        return f"no key: set the environment variable {' or '.join(self.key_variables)}"


class HostedSettings(Online):
    """A hosted vision language model: Claude, GPT, Gemini, or any with OpenAI's protocol."""

    kind: Literal["hosted"] = "hosted"
    provider: Literal["anthropic", "openai", "google", "compatible"]
    """``compatible``: any server with OpenAI's chat protocol, at ``base_url``."""
    model: str = Field(min_length=1)
    base_url: str | None = None
    """The server's address; default: the provider's."""
    answer: Literal["tool", "schema", "text"] = "tool"
    """How the response format is specified: a tool's arguments, the server's JSON schema, or text."""
    coordinates: Literal["pixel", "unit", "thousand"] = "pixel"
    """The requested coordinates: pixels of the sent image, fractions of its sides (0 to 1), or thousandths.
    Responses in another convention are converted and counted."""
    refine: str | None = None
    """A second question about the detected boxes, for instance "only the bracket itself"."""
    max_tokens: int = Field(default=4096, ge=64)
    """Maximum tokens of an answer, including reasoning."""
    budget: float | None = Field(default=None, ge=0)
    """Budget in US dollars each time the detector is loaded, that is per video and run. A request that could
    exceed it is not sent."""
    prices: PricesPath | None = None
    """Your own table of prices, a path below the project; default: the package genai-prices."""

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
            raise ValueError(
                "base_url: required for a compatible server, for example http://localhost:8000/v1"
            )
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
    | RfDetrSettings
    | ZeroShotSettings
    | Sam3Settings
    | Owlv2Settings
    | YoloeSettings
    | Florence2Settings
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
