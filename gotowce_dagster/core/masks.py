"""Comparison of masks, bool (H, W)."""

import numpy as np
import supervision as sv

from gotowce_dagster.core.crops import Crop


def mask_iou(mask: np.ndarray, other: np.ndarray) -> float:
    """IoU of two masks of one size; 0 where both are empty."""
    return np.count_nonzero(mask & other) / max(np.count_nonzero(mask | other), 1)


def pairwise_mask_iou(masks: np.ndarray) -> np.ndarray:
    """Compute the IoU of every pair of masks: bool (n, H, W), none empty, to float (n, n)."""
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    both = flat @ flat.T
    area = both.diagonal()
    return both / (area[:, None] + area[None, :] - both)


def mask_box_iou(mask: np.ndarray, box: np.ndarray) -> float:
    """IoU of a mask's box with a box, xyxy (4,) in pixels; 0 for an empty mask."""
    window = Crop.of_mask(mask)
    return 0.0 if window is None else float(sv.box_iou_batch(window.box[None], box[None])[0, 0])
