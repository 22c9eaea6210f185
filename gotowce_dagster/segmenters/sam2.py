"""SAM 2 as an image segmenter: several cheap prompts on crops around the designator.

The designator's box as a prompt fails on small targets: its corner brackets are themselves a closed thing
with exactly those extents. A point at the centre of a crop does not, and a crop at 448 pixels costs a sixth
of a whole frame at 1024. No single crop or prompt is right on every frame, though, so each crop is encoded
once and asked several ways (prompts.py), choose.py picks by agreement and lets the masks vote, and another
crop is encoded where they leave a doubt (proposals.py).

Why, in figures: median and lowest IoU of the mask's box with hand-checked boxes, weights
sam2_hiera_tiny_image.pt, on 9 frames of Naev (ships of 25 to 88 px) and 6 of Oolite (6 to 16 px in a
designator of 41); benchmarks/image_masks.py prints and draws these and more:

    box on the whole frame at 1024, as the package does it   0.30 0.22   0.05 0.04
    box on both crops                                        0.97 0.89   0.05 0.03
    all 18 candidates, the model's own score, no vote        0.97 0.95   0.97 0.00
    all 18 candidates, by agreement, no vote                 0.96 0.89   0.94 0.63
    the same after the vote                                  0.96 0.93   0.97 0.86
    the same, the second crop only where the first leaves
    a doubt: on 2 of the 15 frames                           0.96 0.95   0.97 0.86

The encoder works in windows of 14 times 16 pixels: a side that is a multiple of 224 needs no padding, and 448
takes two thirds of the time of 512. One designator takes 0.6 s of one processor core, 1.2 s if it is looked
at twice; less than half where it computes bfloat16.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device, inference
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.weights import require
from gotowce_dagster.segmenters.base import Answer, Candidate, Encoded
from gotowce_dagster.segmenters.prompts import Batch, Prompt, batches
from gotowce_dagster.segmenters.proposals import propose
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build, load

# Bounds of memory, in pixels that the model sees at once: 8 crops to encode and 64 prompts to decode at 512.
# A processor encodes single crops at least as fast, and a crop then gives the same bits in any company.
_ENCODED_PX = 8 * 512**2
_DECODED_PX = 64 * 512**2
_CROPS = 64


class Sam2:
    """The image half of the ``sam2`` package's models, loaded once a process.

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
        self.crop_scales = params.crop_scales
        self._params = params
        self._predictor = predictor_of(weights, params.input_px)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Three masks for every prompt on every crop of every box; see base.Segmenter."""
        return propose(self, image, boxes, self.crop_scales, self._params)

    def ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Three masks for every prompt; see base.Promptable."""
        answers: list[list[Answer]] = []
        for start in range(0, len(crops), _CROPS):
            part = slice(start, start + _CROPS)
            answers += self._ask(crops[part], prompts[part])
        return answers

    def encode(self, picture: np.ndarray) -> Encoded:
        """See base.Interactive."""
        with inference(self.device):
            return Encoded(self._encode([picture]), picture.shape[:2])

    def ask_again(self, encoded: Encoded, prompts: Sequence[Prompt]) -> list[Answer]:
        """Three masks for every prompt; see base.Interactive."""
        with inference(self.device):
            (answers,) = self._answers(encoded.features, [encoded.shape], [prompts])
        return answers

    def _ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        with inference(self.device):
            return self._answers(self._encode(crops), [crop.shape[:2] for crop in crops], prompts)

    def _answers(
        self, features: list[Any], shapes: list[tuple[int, int]], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Answer]]:
        answers: dict[tuple[int, int], Answer] = {}
        for batch in batches(prompts, max(1, _DECODED_PX // self._params.input_px**2)):
            answers |= self._decode(features, batch, shapes)
        return [[answers[crop, number] for number in range(len(asked))] for crop, asked in enumerate(prompts)]

    def _encode(self, crops: Sequence[np.ndarray]) -> list[Any]:
        """Tensors (crops, channels, side, side): the embedding, then the features of finer resolution."""
        import torch

        at_once = 1 if self.device == "cpu" else max(1, _ENCODED_PX // self._params.input_px**2)
        levels = []
        for start in range(0, len(crops), at_once):
            self._predictor.set_image_batch(list(crops[start : start + at_once]))
            features = self._predictor._features
            levels.append((features["image_embed"], *features["high_res_feats"]))
        return [torch.cat(level) for level in zip(*levels, strict=True)]

    def _decode(
        self, features: list[Any], batch: Batch, shapes: list[tuple[int, int]]
    ) -> dict[tuple[int, int], Answer]:
        """What the package's predictor does for a prompt, for many on different pictures at once."""
        import torch
        from torch.nn.functional import interpolate

        model = self._predictor.model
        asked = [crop for crop, _ in batch.places]
        sizes = np.array([shapes[crop][::-1] for crop in asked])[:, None]
        points = torch.as_tensor(
            batch.points / sizes * self._params.input_px, dtype=torch.float32, device=self.device
        )
        labels = torch.as_tensor(batch.labels, dtype=torch.int32, device=self.device)
        sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=None)
        embedding, *finer = (level[asked] for level in features)
        low, scores, *_ = model.sam_mask_decoder(
            image_embeddings=embedding,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=False,
            high_res_features=finer,
        )
        own = scores.float().cpu().numpy()
        return {
            place: Answer(
                interpolate(low[row, None].float(), shapes[place[0]], mode="bilinear")[0].cpu().numpy(),
                own[row],
            )
            for row, place in enumerate(batch.places)
        }


@cache
def predictor_of(weights: str, input_px: int) -> Any:
    """The package's image predictor for an input of so many pixels a side, on the best device."""
    device = best_device()
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
