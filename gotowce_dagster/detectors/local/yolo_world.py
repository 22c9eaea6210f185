"""The ``yolo_world`` detector: YOLO-World (Cheng et al. 2024), prompted with phrases.

Its confidences for rare phrases are low but well ordered, so its default threshold is very low, and
non-maximum suppression is applied across classes. ultralytics would install a package and download CLIP to
encode phrases; here ``transformers`` encodes them with the same weights.
"""

from typing import Any

from gotowce_dagster.config.detector_settings import YoloWorldSettings
from gotowce_dagster.core import hub_models
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.local.yolo import Owners, Yolo, load
from gotowce_dagster.detectors.phrases import Phrases

_BACKGROUND = ""


class YoloWorld(Yolo):
    """A model prompted with phrases, which are encoded once, when it is loaded.

    Raises:
        InputError: the weights are not YOLO-World, or the text encoder is not the one they were made with.
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    across_classes = True

    def _load(self, settings: YoloWorldSettings) -> tuple[Any, Owners]:
        phrases = Phrases(settings.prompts)
        asked = [*phrases.asked, _BACKGROUND] if settings.background else phrases.asked
        model = load("YOLOWorld", settings.weights)
        _teach(model, settings.weights, asked, embed(asked, settings.text_encoder))
        owners = (phrases.owner(phrase) for phrase in phrases.asked)
        return model, {number: owner for number, owner in enumerate(owners) if owner}


def _teach(model: Any, weights: str, asked: list[str], embeddings: Any) -> None:
    """Set the model's classes, as WorldModel.set_classes does from its own embeddings."""
    inner = model.model
    if not hasattr(inner, "txt_feats"):
        raise InputError(f"{weights}: not YOLO-World; use the kind yolo for other weights of ultralytics")
    if (trained := inner.txt_feats.shape[-1]) != embeddings.shape[-1]:
        raise InputError(
            f"text_encoder: gives {embeddings.shape[-1]} numbers a phrase, {weights} was trained with "
            f"{trained}"
        )
    inner.txt_feats = embeddings[None]
    inner.model[-1].nc = len(asked)
    inner.names = dict(enumerate(asked))


def embed(phrases: list[str], encoder: str) -> Any:
    """Embed phrases: a tensor (n, d) of unit length, one row per phrase."""
    import torch

    model, tokenizer = hub_models.load("CLIPTextModelWithProjection", "CLIPTokenizer", encoder, "cpu")
    tokens = tokenizer(phrases, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        embedded = model(**tokens).text_embeds
    # Cloned into ordinary tensors, because the model modifies them outside of inference mode.
    return torch.nn.functional.normalize(embedded, dim=-1).clone()
