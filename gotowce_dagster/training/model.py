"""A fine-tuned model as a function of pictures."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import supervision as sv

from gotowce_dagster.training.engines.registry import engine_of
from gotowce_dagster.training.model_folder import read_arguments

_TILE_NMS = 0.5  # IoU above which boxes of neighbouring tiles are the same object

Predict = Callable[[np.ndarray], sv.Detections]
"""RGB uint8 (H, W, 3) to boxes with confidence and ``data["class_name"]``."""


def load_model(weights: Path, imgsz: int, tile_px: int = 0, *, enlarge: bool = True) -> Predict:
    """A fine-tuned model as a function.

    Args:
        weights: a file or folder, as an engine of the training keeps its models.
        imgsz: long side of the model's input for a whole frame, pixels.
        tile_px: side of the overlapping tiles in which larger frames are searched instead, at native scale;
            0: never.
        enlarge: whether smaller images are enlarged to ``imgsz``, as in training on whole frames; a model
            that was trained on crops knows targets at their native scale.

    Raises:
        InputError: the weights are damaged, or no model of a training engine.
    """
    look = engine_of(weights).load(weights)

    def predict(image: np.ndarray) -> sv.Detections:
        if not tile_px or max(image.shape[:2]) <= tile_px:
            return look(image, imgsz if enlarge or not tile_px else tile_px, enlarge)
        # Targets at a tile's edge are whole in the next one; of both boxes the surer stays.
        slicer = sv.InferenceSlicer(
            callback=lambda tile: look(tile, tile_px, False),
            slice_wh=tile_px,
            overlap_wh=tile_px // 4,
            iou_threshold=_TILE_NMS,
        )
        return slicer(image)

    return predict


def load_trained(folder: Path, weights: Path) -> Predict:
    """A model with the settings it was trained with.

    Args:
        folder: folder of the stage finetuned_model.
        weights: one of its models, see ``finetune.model_file``.

    Raises:
        InputError: there is no finished model, or it is damaged.
    """
    arguments = read_arguments(folder)
    return load_model(
        weights, arguments["imgsz"], arguments.get("tile_px", 0), enlarge="crop_px" not in arguments
    )


def remembered(predict: Predict) -> Predict:
    """The same function, which looks at an image once however often it is asked."""
    found: dict[bytes, sv.Detections] = {}

    def look(image: np.ndarray) -> sv.Detections:
        key = repr(image.shape).encode() + hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        if key not in found:
            found[key] = predict(image)
        return found[key]

    return look
