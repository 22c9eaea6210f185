"""Candidates from a promptable model: crops around each designator, each asked in several ways.

To encode a crop is what costs time. Where the masks of the first crop leave no doubt, as they do for most
targets, the others are not looked at.
"""

from collections.abc import Sequence

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.segmenters.base import Answer, Candidate, Promptable
from gotowce_dagster.segmenters.choose import best_score
from gotowce_dagster.segmenters.prompts import PROMPTS

_STABILITY_SHIFT = 1.0


def propose(
    model: Promptable, image: np.ndarray, boxes: np.ndarray, scales: Sequence[float], params: MasksParams
) -> list[list[Candidate]]:
    """Every mask for every prompt on the first crop of every box; on all its crops if that leaves a doubt.

    The crops of all boxes of a frame are asked at once.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: xyxy float (n, 4) in pixels: the designators.
        scales: sides of the crops in sides of their designator.
    """
    found = _look(model, image, boxes, scales[:1])
    if len(scales) == 1:
        return found
    scores = [best_score(candidates, box, params) for candidates, box in zip(found, boxes, strict=True)]
    doubtful = np.flatnonzero(np.array(scores) <= params.second_look)
    again = _look(model, image, boxes[doubtful], scales[1:]) if len(doubtful) else []
    for number, more in zip(doubtful, again, strict=True):
        found[number] += more
    return found


def _look(
    model: Promptable, image: np.ndarray, boxes: np.ndarray, scales: Sequence[float]
) -> list[list[Candidate]]:
    """Every mask for every prompt on every crop of every box, all asked at once."""
    shape = image.shape[:2]
    crops = [[around(box, scale, *shape) for scale in scales] for box in boxes]
    answers = iter(
        model.ask(
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
            for name, answer in zip(PROMPTS, next(answers), strict=True)
            for candidate in candidates_of(answer, f"{name}@{scale:g}", crop, shape)
        ]
        for of_box in crops
    ]


def stability(logits: np.ndarray) -> float:
    """IoU of the mask at a stricter and a laxer threshold, as in Segment Anything's mask generator."""
    lax = np.count_nonzero(logits > -_STABILITY_SHIFT)
    return np.count_nonzero(logits > _STABILITY_SHIFT) / lax if lax else 0.0


def candidates_of(answer: Answer, prompt: str, crop: Crop, shape: tuple[int, int]) -> list[Candidate]:
    return [
        Candidate(crop.paste(logits > 0, *shape), prompt, float(score), stability(logits))
        for logits, score in zip(answer.logits, answer.scores, strict=True)
    ]
