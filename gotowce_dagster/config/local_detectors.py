"""Settings of the detectors that run on this machine."""

from typing import Literal

from pydantic import Field

from gotowce_dagster.config.any_detector import Common, Model, Phrases, Prompted, Share
from gotowce_dagster.config.settings import Settings
from gotowce_dagster.core import weights
from gotowce_dagster.core.safe_names import ClassName, ReadablePath


class _Weights(Settings):
    """Settings of every model that is loaded from one file or folder of weights."""

    weights: ReadablePath
    """A name in core/weights.py, or a path below the project, for instance data/weights/round1.pt."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the weights it needs; see core/weights.py."""
        return (self.weights,)


class BracketSettings(Common):
    """Corners found by colour and geometry; see designators/bracket.py."""

    kind: Literal["bracket"] = "bracket"
    min_confidence: Share = 0.5


class YoloSettings(_Weights, Prompted):
    """Any detection model of ultralytics."""

    kind: Literal["yolo"] = "yolo"
    prompts: dict[ClassName, Phrases] = Field(default={})
    """Class name -> the model's own class names; if empty, all of the model's classes."""
    weights: ReadablePath = "yolo26n.pt"
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    """Long side of the model's input in pixels."""


class YoloWorldSettings(_Weights, Prompted):
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


class RfDetrSettings(_Weights, Prompted):
    """RF-DETR or D-FINE, closed-set detectors of transformers, in a folder."""

    kind: Literal["rfdetr"] = "rfdetr"
    prompts: dict[ClassName, Phrases] = Field(default={})
    """Class name -> the model's own class names; if empty, all of the model's classes."""
    weights: ReadablePath = "Roboflow/rf-detr-nano"
    """A name in core/weights.py, or a folder, for instance a copy of data/model/best."""
    input_px: int | None = Field(default=None, ge=32)
    """Side in pixels of the square that an image is stretched to; null: the default of the folder."""


class Florence2Settings(_Weights, Prompted):
    """Florence-2: a small model for detection by phrases and for captions, prompted with task tokens."""

    kind: Literal["florence2"] = "florence2"
    weights: ReadablePath = "florence-community/Florence-2-base"
    task: Literal["<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>", "<OD>"] = (
        "<OPEN_VOCABULARY_DETECTION>"
    )
    """The first two run once per phrase; ``<OD>`` runs once per image, and the model names the objects."""
    max_tokens: int = Field(default=256, ge=1)
    """Maximum tokens of a response."""
    beams: int = Field(default=3, ge=1)
    """Beams of the beam search."""
    least_shared: Share = 0.6
    """Minimum share of words that an object's name and a phrase have in common, of the shorter one."""


class ByExample(Model):
    """Settings of models that are prompted with example boxes."""

    examples: ReadablePath
    """A CSV with the columns picture, class_name, x1, y1, x2, y2: some boxes of each class, to be averaged.
    Paths of pictures are relative to it."""


class Owlv2Settings(_Weights, ByExample):
    """OWLv2, prompted with example boxes."""

    kind: Literal["owlv2"] = "owlv2"
    weights: ReadablePath = "google/owlv2-base-patch16-ensemble"
    min_confidence: Share = 0.6
    """Higher than for phrases, because every object resembles an example a little."""


class YoloeSettings(_Weights, ByExample):
    """YOLOE, prompted with example boxes (visual prompts)."""

    kind: Literal["yoloe"] = "yoloe"
    weights: ReadablePath = "yoloe-11s-seg.pt"
    imgsz: int = Field(default=960, ge=32, multiple_of=32)
    """Long side of the model's input in pixels, also for the examples."""


class Sam3Settings(_Weights, Prompted):
    """SAM 3 detects and segments the objects that a short phrase names; only its boxes are used."""

    kind: Literal["sam3"] = "sam3"
    weights: ReadablePath = "facebook/sam3"

    def obstacle(self) -> str | None:
        if self.weights != "facebook/sam3" or weights.find(self.weights):
            return None
        return (
            f"{self.weights} is gated: accept its licence at https://huggingface.co/{self.weights}, then run "
            f"`{weights.command_by_hand(self.weights)}`"
        )


class ZeroShotSettings(_Weights, Prompted):
    """Any model that transformers loads for zero-shot object detection: Grounding DINO, OWLv2, ..."""

    kind: Literal["zero_shot"] = "zero_shot"
    weights: ReadablePath = "IDEA-Research/grounding-dino-tiny"
    text_confidence: Share = 0.25
    """Grounding DINO: minimum score of a word to belong to a box's phrase."""


class Kosmos2Settings(_Weights, Prompted):
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


class MoondreamSettings(_Weights, Prompted):
    """Moondream, a small vision-language model that points and draws boxes."""

    kind: Literal["moondream"] = "moondream"
    weights: ReadablePath = "vikhyatk/moondream2"
    trust_remote_code: bool = False
    """Allow the code of its model class, which comes with the weights, to run."""

    def obstacle(self) -> str | None:
        if self.trust_remote_code:
            return None
        return (
            f"{self.weights} contains code, which runs only if you allow it: read it, then set "
            f"trust_remote_code: true; or use the kind moondream_server"
        )


class CaptionerSettings(_Weights):
    """Any image-to-text model of ``transformers``, such as BLIP: it describes images and finds no boxes."""

    kind: Literal["captioner"] = "captioner"
    weights: ReadablePath = "Salesforce/blip-image-captioning-base"
    ask: str = ""
    """The beginning of the text that the model continues; some models need one."""
    max_tokens: int = Field(default=64, ge=1)
    """Maximum tokens of the text."""
    batch: int = Field(default=4, ge=1)
    """Images per batch."""
