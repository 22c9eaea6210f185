"""SAM 2 as an image segmenter: several cheap prompts on crops around the designator.

The designator's box as a prompt fails on small targets: its corner brackets are themselves a closed thing
with exactly those extents. A point at the centre of a crop does not, and a crop at 512 pixels costs a
quarter of a whole frame at 1024. No single crop or prompt is right on every frame, though, so each crop is
encoded once and asked several ways (prompts.py), and choose.py picks by agreement and lets the masks vote.

Why, in figures: median IoU of the mask's box with hand-checked boxes, weights sam2_hiera_tiny_image.pt, on
9 frames of Naev (ships of 25 to 88 px), 6 of Oolite (6 to 16 px in a designator of 41), and the Naev ships
enlarged until they fill a designator of 344 px (benchmarks/target_boxes.py prints the first two columns):

    box on a crop of 3 sides, the model's own score     0.31  0.05
    point on a crop of 3 sides, the model's own score   0.96  0.88
    all 18 candidates, the model's own score            0.96  0.96  0.60
    all 18 candidates, by agreement                     0.96  0.89  0.94
    the same after the vote                             0.96  1.00  0.94

One frame with one designator takes 1.7 s of one processor core, 0.75 s where it computes bfloat16.
"""

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from gotowce_dagster.errors import InputError
from gotowce_dagster.params import MasksParams
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.crops import Crop, around
from gotowce_dagster.segmenters.device import best_device, inference
from gotowce_dagster.segmenters.prompts import PROMPTS, Prompt
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build, load
from gotowce_dagster.weights import require

_BATCH = 8
_STABILITY_SHIFT = 1.0


class Sam2:
    """The image predictor of the ``sam2`` package, loaded once a process.

    Raises:
        InputError: weights that no configuration is known for.
        MissingWeightsError: the weights are not here, or are not what their name says.
    """

    name = "sam2"

    def __init__(self, weights: str, params: MasksParams) -> None:
        if weights not in CONFIGS:
            raise InputError(
                f"sam2 has no configuration for weights {weights!r}; known: {', '.join(CONFIGS)}"
            )
        self.weights = weights
        self.device = best_device()
        self._params = params
        self._predictor = _predictor(weights, params.input_px, self.device)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Three masks for every prompt on every crop of every box; see base.Segmenter."""
        height, width = image.shape[:2]
        jobs = [
            (index, scale, around(box, scale, height, width))
            for index, box in enumerate(boxes)
            for scale in self._params.crop_scales
        ]
        found: list[list[Candidate]] = [[] for _ in boxes]
        for batch in (jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)):
            self._encode([crop.cut(image) for *_, crop in batch])
            for name, prompt in PROMPTS.items():
                prompts = [prompt(crop.to_crop(boxes[index])) for index, _, crop in batch]
                for (index, scale, crop), answer in zip(batch, self._ask(prompts), strict=True):
                    found[index] += _candidates(*answer, f"{name}@{scale:g}", crop, (height, width))
        return found

    def _encode(self, crops: list[np.ndarray]) -> None:
        with inference(self.device):
            self._predictor.set_image_batch(crops)

    def _ask(self, prompts: list[Prompt]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each crop of the batch, logits (3, h, w) and the model's own scores (3,)."""
        with inference(self.device):
            logits, scores, _ = self._predictor.predict_batch(
                [p.points for p in prompts],
                [p.labels for p in prompts],
                [p.box for p in prompts],
                multimask_output=True,
                return_logits=True,
            )
        return zip(logits, scores, strict=True)


def _candidates(
    logits: np.ndarray, scores: np.ndarray, prompt: str, crop: Crop, shape: tuple[int, int]
) -> list[Candidate]:
    return [
        Candidate(crop.paste(one > 0, *shape), prompt, float(score), _stability(one))
        for one, score in zip(logits, scores, strict=True)
    ]


def _stability(logits: np.ndarray) -> float:
    """IoU of the mask at a stricter and a laxer threshold, as in Segment Anything's mask generator."""
    lax = np.count_nonzero(logits > -_STABILITY_SHIFT)
    return np.count_nonzero(logits > _STABILITY_SHIFT) / lax if lax else 0.0


@cache
def _predictor(weights: str, input_px: int, device: str) -> Any:
    model = build(CONFIGS[weights], input_px)
    load(model, require(weights))
    return _for_size(model.to(device).eval(), input_px)


def _for_size(model: Any, input_px: int) -> Any:
    """A predictor for a model of another input size than the 1024 pixels the package assumes."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    with warnings.catch_warnings():
        # The package compiles its transforms with torch.jit.script, which torch has come to discourage.
        warnings.simplefilter("ignore", FutureWarning)
        predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(input_px // stride, input_px // stride) for stride in (4, 8, 16)]
    return predictor
