"""A fine-tuned model as a function of images."""

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
        weights: a file or folder of a training engine.
        imgsz: long side in pixels of the model's input for a whole frame.
        tile_px: side of the overlapping tiles into which larger frames are cut, at native scale; 0: no tiles.
        enlarge: whether smaller images are enlarged to ``imgsz``, as in training on whole frames; a model
            that was trained on crops knows targets at their native scale.

    Raises:
        InputError: the weights are damaged, or not of a training engine.
    """
    look = engine_of(weights).load(weights)

    def predict(image: np.ndarray) -> sv.Detections:
        if not tile_px or max(image.shape[:2]) <= tile_px:
            return look(image, imgsz if enlarge or not tile_px else tile_px, enlarge)
        # A target truncated by a tile is complete in the next one; the more confident box is kept.
        slicer = sv.InferenceSlicer(
            callback=lambda tile: look(tile, tile_px, False),
            slice_wh=tile_px,
            overlap_wh=tile_px // 4,
            iou_threshold=_TILE_NMS,
        )
        return slicer(image)

    return predict


def load_trained(folder: Path, weights: Path) -> Predict:
    """Load a model with the settings of its training.

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
    """The same function, which caches its result for the last images."""
    found: dict[bytes, sv.Detections] = {}

    def look(image: np.ndarray) -> sv.Detections:
        key = repr(image.shape).encode() + hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        if key not in found:
            found[key] = predict(image)
        return found[key]

    return look
