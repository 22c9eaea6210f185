"""The ``owlv2`` detector: OWLv2 (Minderer et al. 2023) prompted with example boxes instead of phrases.

Each example box gives the token whose predicted box overlaps it most; a class is the mean of its tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import Owlv2Settings
from gotowce_dagster.core.hub_models import load
from gotowce_dagster.detectors.examples import Example, by_class, prompt_of, read_examples
from gotowce_dagster.detectors.local.model import Batched


class Owlv2(Batched[Owlv2Settings]):
    """A model that encodes its examples once, when it is loaded.

    Raises:
        InputError: the examples are missing or malformed.
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    def __init__(self, name: str, settings: Owlv2Settings) -> None:
        import torch

        super().__init__(name, settings)
        examples = by_class(read_examples(settings.examples))
        self._classes = [(class_name, prompt_of(some)) for class_name, some in examples.items()]
        self._model, self._processor = load(
            "Owlv2ForObjectDetection", "AutoProcessor", settings.weights, self._device
        )
        with torch.inference_mode():
            self._queries = torch.stack([self._query(some) for some in examples.values()])

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        import torch

        # Not in bfloat16: it moves boxes by pixels.
        with torch.inference_mode():
            tokens, boxes = self._look(images)
            queries = self._queries[None].expand(len(images), -1, -1)
            logits, _ = self._model.class_predictor(tokens, queries)
            sure = logits.sigmoid().cpu().numpy()
        return [self._read(*one) for one in zip(boxes, sure, images, strict=True)]

    def _read(self, boxes: np.ndarray, sure: np.ndarray, image: np.ndarray) -> sv.Detections:
        rows, numbers = np.nonzero(sure >= self._settings.min_confidence)
        return self._found(
            boxes[rows], sure[rows, numbers], [self._classes[number] for number in numbers], image
        )

    def _query(self, examples: Sequence[Example]) -> Any:
        """The mean token of example boxes, (d,)."""
        import torch

        shown = []
        for example in examples:
            tokens, (boxes,) = self._look([example.image])
            _, embeddings = self._model.class_predictor(tokens)
            best = sv.box_iou_batch(example.boxes, boxes).argmax(axis=1)
            shown.append(embeddings[0, torch.from_numpy(best).to(embeddings.device)])
        each = torch.cat(shown)
        return torch.nn.functional.normalize(each, dim=-1).mean(dim=0)

    def _look(self, images: list[np.ndarray]) -> tuple[Any, np.ndarray]:
        """The tokens of images (n, k, d), and the box of each token, xyxy (n, k, 4) in pixels."""
        pictures = [Image.fromarray(image) for image in images]
        inputs = self._processor(images=pictures, return_tensors="pt").to(self._device)
        features, _ = self._model.image_embedder(pixel_values=inputs["pixel_values"])
        tokens = features.flatten(1, 2)
        middle = self._model.box_predictor(tokens, features).float().cpu().numpy()
        boxes = np.concatenate(
            [middle[..., :2] - middle[..., 2:] / 2, middle[..., :2] + middle[..., 2:] / 2], axis=-1
        )
        # The model's input is a square with the image at its top left.
        sides = np.array([max(image.shape[:2]) for image in images], float)
        return tokens, boxes * sides[:, None, None]
