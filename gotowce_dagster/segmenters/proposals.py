"""Candidates from a promptable model: crops around each designator, each with several prompts.

Encoding a crop takes most of the time. If the masks of the first crop leave no doubt, as for most targets,
the other crops are not encoded.
"""

from collections.abc import Sequence

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.segmenters.base import Candidate, Prediction, Promptable
from gotowce_dagster.segmenters.choose import best_score
from gotowce_dagster.segmenters.prompts import PROMPTS

_STABILITY_SHIFT = 1.0


def propose(
    model: Promptable, image: np.ndarray, boxes: np.ndarray, scales: Sequence[float], params: MasksParams
) -> list[list[Candidate]]:
    """Propose all masks for every prompt on the first crop of every box, and in doubt on its other crops.

    The crops of all boxes of a frame form one batch.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: designators, xyxy float (n, 4) in pixels.
        scales: sides of the crops in sides of their designator.

    Returns:
        The candidates of each box.
    """
    found = _predict_crops(model, image, boxes, scales[:1])
    if len(scales) == 1:
        return found
    scores = [best_score(candidates, box, params) for candidates, box in zip(found, boxes, strict=True)]
    doubtful = np.flatnonzero(np.array(scores) <= params.second_look)
    second = _predict_crops(model, image, boxes[doubtful], scales[1:]) if len(doubtful) else []
    for number, more in zip(doubtful, second, strict=True):
        found[number] += more
    return found


def _predict_crops(
    model: Promptable, image: np.ndarray, boxes: np.ndarray, scales: Sequence[float]
) -> list[list[Candidate]]:
    """Predict all masks for every prompt on every crop of every box, in one batch."""
    shape = image.shape[:2]
    crops = [[around(box, scale, *shape) for scale in scales] for box in boxes]
    predictions = iter(
        model.predict(
            [crop.cut(image) for of_box in crops for crop in of_box],
            [
                [prompt(crop.to_crop(box)) for prompt in PROMPTS.values()]
                for box, of_box in zip(boxes, crops, strict=True)
                for crop in of_box
            ],
        )
    )
    return [
        [
            candidate
            for scale, crop in zip(scales, of_box, strict=True)
            for name, prediction in zip(PROMPTS, next(predictions), strict=True)
            for candidate in candidates_of(prediction, f"{name}@{scale:g}", crop, shape)
        ]
        for of_box in crops
    ]


def stability(logits: np.ndarray) -> float:
    """Compute the IoU of the mask at a higher and a lower threshold, as in Segment Anything."""
    lax = np.count_nonzero(logits > -_STABILITY_SHIFT)
    return np.count_nonzero(logits > _STABILITY_SHIFT) / lax if lax else 0.0


def candidates_of(prediction: Prediction, prompt: str, crop: Crop, shape: tuple[int, int]) -> list[Candidate]:
    """Convert a prediction on a crop to candidates of the frame, ``shape`` as (H, W)."""
    return [
        Candidate(crop.paste(logits > 0, *shape), prompt, float(score), stability(logits))
        for logits, score in zip(prediction.logits, prediction.scores, strict=True)
    ]
