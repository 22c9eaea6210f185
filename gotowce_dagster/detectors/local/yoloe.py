"""The ``yoloe`` detector: YOLOE (Wang et al. 2025) prompted with example boxes, ultralytics' visual prompts.

Each image gives each of its classes an embedding; a class is their mean, weighted by number of boxes.
"""

from typing import Any

import numpy as np

from gotowce_dagster.config.detector_settings import YoloeSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.examples import Example, by_class, prompt_of, read_examples
from gotowce_dagster.detectors.local.yolo import Owners, Yolo, load


class Yoloe(Yolo):
    """A model that encodes its examples once, when it is loaded.

    Raises:
        InputError: the examples are missing or malformed, or the weights are not YOLOE.
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    def _load(self, settings: YoloeSettings) -> tuple[Any, Owners]:
        import torch

        examples = by_class(read_examples(settings.examples))
        model = load("YOLOE", settings.weights, by_example=True)
        if not hasattr(model.model, "get_visual_pe"):
            raise InputError(f"{settings.weights}: not YOLOE; use the kind yolo for other weights")
        if getattr(model.model.model[-1], "is_fused", False) or hasattr(model.model.model[-1], "lrpc"):
            raise InputError(
                f"{settings.weights}: YOLOE with fixed classes; name the weights that take prompts"
            )
        shown = [
            torch.cat([_embedding(model, example, settings.imgsz, self._device) for example in some])
            for some in examples.values()
        ]
        weights = [
            torch.tensor([float(len(example.boxes)) for example in some]) for some in examples.values()
        ]
        means = [
            (each * some[:, None].to(each.device)).sum(dim=0) / some.sum()
            for each, some in zip(shown, weights, strict=True)
        ]
        fused = torch.nn.functional.normalize(torch.stack(means), dim=-1)
        model.set_classes(list(examples), fused[None].cpu())
        owners = {number: (name, prompt_of(some)) for number, (name, some) in enumerate(examples.items())}
        return model, owners


def _embedding(model: Any, example: Example, imgsz: int, device: str) -> Any:
    """Embed the boxes of one image: a tensor (1, d) of unit length."""
    import torch
    from ultralytics.models.yolo.yoloe import YOLOEVPDetectPredictor

    predictor = YOLOEVPDetectPredictor(
        overrides={"task": model.task, "mode": "predict", "imgsz": imgsz, "device": device, "batch": 1,
                   "save": False, "verbose": False}
    )  # fmt: skip
    predictor.set_prompts({"bboxes": example.boxes, "cls": np.zeros(len(example.boxes), int)})
    predictor.setup_model(model=model.model, verbose=False)
    bgr = np.ascontiguousarray(example.image[:, :, ::-1])
    with torch.no_grad():
        embedded = predictor.get_vpe(bgr)
    return torch.nn.functional.normalize(embedded[0].float(), dim=-1)
