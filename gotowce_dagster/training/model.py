"""A fine-tuned model as a function of pictures."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import supervision as sv

from gotowce_dagster.core.device import all_threads, best_device
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.offline import keep_offline

_TILE_NMS = 0.5  # IoU above which boxes of neighbouring tiles are the same object

_STRIDE = 32
"""The model's input has a multiple of so many pixels a side."""

Predict = Callable[[np.ndarray], sv.Detections]
"""RGB uint8 (H, W, 3) to boxes with confidence and ``data["class_name"]``."""


def load_model(weights: Path, imgsz: int, tile_px: int = 0, *, enlarge: bool = True) -> Predict:
    """A fine-tuned model as a function.

    Args:
        imgsz: long side of the model's input for a whole frame, pixels.
        tile_px: side of the overlapping tiles in which larger frames are searched instead, at native scale;
            0: never.
        enlarge: whether smaller images are enlarged to ``imgsz``, as in training on whole frames; a model
            that was trained on crops knows targets at their native scale.

    Raises:
        InputError: the file is damaged, or holds something else than a model of ultralytics.
    """
    import torch

    keep_offline()
    from ultralytics import YOLO

    threads = all_threads()

    try:
        model = YOLO(weights)
    except Exception as error:
        # What a damaged or rogue file raises is anything.
        why = " ".join(str(error).split())
        raise InputError(f"{weights}: not a model of ultralytics ({why}); train it again") from None
    device = best_device()

    def look(image: np.ndarray, size: int) -> sv.Detections:
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        (result,) = model.predict(bgr, imgsz=size, conf=0.001, device=device, verbose=False)
        # The first call has chosen a device, and with it one thread less.
        torch.set_num_threads(threads)
        return sv.Detections.from_ultralytics(result)

    def predict(image: np.ndarray) -> sv.Detections:
        if not tile_px or max(image.shape[:2]) <= tile_px:
            long = max(image.shape[:2])
            return look(image, imgsz if enlarge else min(imgsz, -(-long // _STRIDE) * _STRIDE))
        # Targets at a tile's edge are whole in the next one; of both boxes the surer stays.
        slicer = sv.InferenceSlicer(
            callback=lambda tile: look(tile, tile_px),
            slice_wh=tile_px,
            overlap_wh=tile_px // 4,
            iou_threshold=_TILE_NMS,
        )
        return slicer(image)

    return predict


def remembered(predict: Predict) -> Predict:
    """The same function, which looks at an image once however often it is asked."""
    found: dict[bytes, sv.Detections] = {}

    def look(image: np.ndarray) -> sv.Detections:
        key = repr(image.shape).encode() + hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        if key not in found:
            found[key] = predict(image)
        return found[key]

    return look
