"""A fine-tuned model as a function of images."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import supervision as sv

from gotowce_dagster.config.any_detector import InputSettings, TileSettings
from gotowce_dagster.detectors.inputs import Piece, cut, join
from gotowce_dagster.training.engines.registry import engine_of
from gotowce_dagster.training.model_folder import read_arguments

_OVERLAP = 0.25  # of neighbouring tiles, as a share of their side
_ANY_SIDE = 2**15  # longer than any frame

Predict = Callable[[np.ndarray], sv.Detections]
"""RGB uint8 (H, W, 3) to boxes with confidence and ``data["class_name"]``."""


def load_model(weights: Path, imgsz: int, tile_px: int = 0, *, enlarge: bool = True) -> Predict:
    """A fine-tuned model as a function.

    Args:
        weights: a file or folder of a training engine.
        imgsz: long side in pixels of the model's input for a whole frame, if ``enlarge``.
        tile_px: side of the overlapping tiles into which larger frames are cut, at native scale; 0: no tiles.
        enlarge: whether images are enlarged or reduced to ``imgsz``, as in training on whole frames; a model
            that was trained on crops knows targets at their native scale, so it gets frames at theirs.

    Raises:
        InputError: the weights are damaged, or not of a training engine.
    """
    look = engine_of(weights).load(weights)

    def predict(image: np.ndarray) -> sv.Detections:
        if not tile_px or max(image.shape[:2]) <= tile_px:
            return look(image, imgsz if enlarge else tile_px or _ANY_SIDE, enlarge)
        pieces = cut(image, InputSettings(tiles=TileSettings(side=tile_px, overlap=_OVERLAP)))
        return _joined(pieces, [look(piece.image, tile_px, False) for piece in pieces])

    return predict


def _joined(pieces: Sequence[Piece], answers: Sequence[sv.Detections]) -> sv.Detections:
    """The boxes of all tiles; one that an inner edge of its tile cuts gives way to the whole one."""
    numbers: dict[str, int] = {}
    for answer in answers:
        answer.data["prompt"] = answer.data["class_name"]
        numbers |= zip(answer.data["class_name"], np.asarray(answer.class_id).tolist(), strict=True)
    joined = join(pieces, answers, InputSettings().seam)
    joined.class_id = np.array([numbers[name] for name in joined.data["class_name"]], int)
    return joined


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
