"""SAM 2 as an image segmenter: several cheap prompts on crops around the designator.

The designator's box as a prompt fails on small targets: its corner brackets form a closed shape of exactly
that extent. A point at the centre of a crop works, and a crop at 448 pixels costs a sixth of a whole frame at
1024. No single crop or prompt is right on every frame, so each crop is encoded once and prompted in several
ways (prompts.py), choose.py selects a mask by agreement and majority vote, and a further crop is encoded in
doubt (proposals.py).

Measurements: median and lowest IoU of the mask's box with hand-checked boxes, weights
sam2_hiera_tiny_image.pt, on 9 frames of Naev (ships of 25 to 88 px) and 6 of Oolite (6 to 16 px in a
designator of 41); benchmarks/image_masks.py prints and plots these and more:

    box on the whole frame at 1024, as in the package        0.30 0.22   0.05 0.04
    box on both crops                                        0.97 0.89   0.05 0.03
    all 18 candidates, the model's own score, no vote        0.97 0.95   0.97 0.00
    all 18 candidates, by agreement, no vote                 0.96 0.89   0.94 0.63
    the same after the vote                                  0.96 0.93   0.97 0.86
    the same, the second crop only where the first leaves
    a doubt: on 2 of the 15 frames                           0.96 0.95   0.97 0.86

The encoder works in windows of 14 times 16 pixels: a side that is a multiple of 224 needs no padding, and 448
takes two thirds of the time of 512. One designator takes 0.6 s of one CPU core, 1.2 s with a second crop;
less than half of that where the CPU supports bfloat16.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device, store_in_half_precision
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.weights import require
from gotowce_dagster.segmenters.base import Prediction
from gotowce_dagster.segmenters.embedding_model import EmbeddingModel
from gotowce_dagster.segmenters.prompts import Batch
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build, load

# Batch sizes in input pixels: 8 crops to encode and 64 prompts to decode at 512.
# A CPU encodes single crops at least as fast, and the result for a crop is then bit-identical in any batch.
_ENCODED_PX = 8 * 512**2
_DECODED_PX = 64 * 512**2


class Sam2(EmbeddingModel):
    """The image model of the ``sam2`` package, loaded once per process.

    Raises:
        InputError: there is no configuration for these weights.
        MissingWeightsError: the weights are missing, or are not what their name says.
    """

    name = "sam2"
    _crops_at_once = 64

    def __init__(self, weights: str, params: MasksParams) -> None:
        if weights not in CONFIGS:
            raise InputError(
                f"sam2 has no configuration for weights {weights!r}; known: {', '.join(CONFIGS)}"
            )
        super().__init__(weights, params, prompts_at_once=max(1, _DECODED_PX // params.input_px**2))
        self._predictor = predictor_of(weights, params.input_px)

    def _encode(self, crops: Sequence[np.ndarray]) -> list[Any]:
        """Encode crops to tensors (crops, channels, side, side): the embedding, then finer features."""
        import torch

        at_once = 1 if self.device == "cpu" else max(1, _ENCODED_PX // self._params.input_px**2)
        levels = []
        for start in range(0, len(crops), at_once):
            self._predictor.set_image_batch(list(crops[start : start + at_once]))
            features = self._predictor._features
            levels.append((features["image_embed"], *features["high_res_feats"]))
        return [torch.cat(level) for level in zip(*levels, strict=True)]

    def _decode(
        self, features: list[Any], batch: Batch, shapes: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Prediction]:
        """Decode a batch of prompts on different crops, as the package's predictor does for one prompt."""
        import torch
        from torch.nn.functional import interpolate

        model = self._predictor.model
        crop_indices = [crop for crop, _ in batch.places]
        sizes = np.array([shapes[crop][::-1] for crop in crop_indices])[:, None]
        points = torch.as_tensor(
            batch.points / sizes * self._params.input_px, dtype=torch.float32, device=self.device
        )
        labels = torch.as_tensor(batch.labels, dtype=torch.int32, device=self.device)
        sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=None)
        embedding, *finer = (level[crop_indices] for level in features)
        low, scores, *_ = model.sam_mask_decoder(
            image_embeddings=embedding,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=False,
            high_res_features=finer,
        )
        ious = scores.float().cpu().numpy()
        return {
            place: Prediction(
                interpolate(low[row, None].float(), shapes[place[0]], mode="bilinear")[0].cpu().numpy(),
                ious[row],
            )
            for row, place in enumerate(batch.places)
        }


@cache
def predictor_of(weights: str, input_px: int) -> Any:
    """Load the package's image predictor for an input of ``input_px`` pixels, on the best device."""
    import torch

    device = best_device()
    model = build(CONFIGS[weights], input_px)
    load(model, require(weights))
    model.to(device).eval()
    store_in_half_precision(model, device)
    if device == "cpu":
        # Layers pass features on with channels last: convolutions then need no reordering of their input.
        model.to(memory_format=torch.channels_last)
    return _for_size(model, input_px)


def _for_size(model: Any, input_px: int) -> Any:
    """Build a predictor for an input size other than the 1024 pixels that the package assumes."""
    import torch
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    with warnings.catch_warnings():
        # The package compiles its transforms with torch.jit.script, which torch now deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        predictor = SAM2ImagePredictor(model)
    # Places that only the memory of videos uses, tens of megabytes a crop.
    model.image_encoder.neck.position_encoding = torch.nn.Identity()
    # Equal for all crops, and enlarged to their size anew for each.
    trunk = model.image_encoder.trunk
    with torch.no_grad():
        places = trunk._get_pos_embed((input_px // 4, input_px // 4))
    trunk._get_pos_embed = lambda _: places
    predictor._bb_feat_sizes = [(input_px // stride, input_px // stride) for stride in (4, 8, 16)]
    return predictor
