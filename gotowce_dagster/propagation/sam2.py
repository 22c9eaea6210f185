"""SAM 2 for videos (Ravi et al. 2024), built from parts of the ``sam2`` package, in bounded memory.

The package's own SAM2VideoPredictor needs the whole video in advance and keeps every frame and every output:
12 MB per frame and 0.75 MB per object and frame. This propagator runs the same model on frames that arrive
one by one, all objects of a frame in one batch, and gives the same masks; tests/propagation/test_sam2.py
compares the two. Two things differ on purpose. The predicted IoU, which the predictor drops, is returned. And
a prompt in a frame that was tracked before replaces its mask, while the predictor would treat it as a
correction of that frame only (facebookresearch/sam2, issue 154).
"""

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.weights import require
from gotowce_dagster.propagation.memory import Memory, Output, View
from gotowce_dagster.propagation.streaming import Decoded, Streaming
from gotowce_dagster.segmenters.prompts import Prompt, as_points
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build, load

_STRIDE = 16
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
# Longer than any shot: the model shortens its memory for clips of fewer than 16 frames.
_ENDLESS = 1 << 31


@dataclass(frozen=True)
class _Frame:
    """Image features of one frame."""

    maps: list[Any]
    """Feature maps (1, C, h, w), finest first."""
    positions: Any
    """Position encoding (h * w, 1, C) of the coarsest level."""

    @property
    def coarse(self) -> Any:
        """The coarsest feature map as tokens (h * w, 1, C)."""
        return self.maps[-1].flatten(2).permute(2, 0, 1)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the coarsest feature map."""
        return self.maps[-1].shape[-2:]


class Sam2Propagator(Streaming):
    """Propagator with the video model of SAM 2; the model is loaded once per process.

    Raises:
        InputError: there is no configuration for these weights.
        MissingWeightsError: the weights are missing, not what their name says, or for images only.
    """

    name = "sam2"

    def __init__(self, weights: str, params: MasksParams) -> None:
        if weights not in CONFIGS:
            raise InputError(
                f"sam2 has no configuration for weights {weights!r}; known: {', '.join(CONFIGS)}"
            )
        device = best_device()
        self._model = _model(weights, params.propagation.input_px, device)
        memory = Memory(self._model.num_maskmem - 1, self._model.max_obj_ptrs_in_encoder - 1, "obj_ptr")
        super().__init__(weights, device, memory, params.propagation.max_conditioning)
        self._positions = _memory_positions(self._model)

    def _encode(self, image: np.ndarray) -> _Frame:
        """Compute the features of a frame, resized as the package does it."""
        import torch

        side = self._model.image_size
        pixels = np.asarray(Image.fromarray(image).resize((side, side)))
        pixels = (torch.from_numpy(pixels / 255.0).float() - torch.tensor(_MEAN)) / torch.tensor(_STD)
        encoded = self._model.forward_image(pixels.permute(2, 0, 1)[None].to(self.device))
        levels = self._model.num_feature_levels
        positions = encoded["vision_pos_enc"][-1].flatten(2).permute(2, 0, 1)
        return _Frame(encoded["backbone_fpn"][-levels:], positions)

    def _decode_prompt(self, frame: _Frame, prompt: Prompt, shape: tuple[int, int]) -> Decoded:
        if prompt.mask is not None:
            mask = self._mask(prompt.mask)
            heads = self._model._use_mask_as_output(frame.maps[-1], frame.maps[:-1], mask)
        else:
            points = self._points(prompt, shape)
            conditioned = self._model._prepare_memory_conditioned_features(
                frame_idx=0,
                is_init_cond_frame=True,
                current_vision_feats=[frame.coarse],
                current_vision_pos_embeds=[frame.positions],
                feat_sizes=[frame.size],
                output_dict={},
                num_frames=_ENDLESS,
            )
            heads = self._model._forward_sam_heads(
                conditioned, points, None, frame.maps[:-1], self._model._use_multimask(True, points)
            )
        return self._decoded(frame, heads, from_prompt=True)[0]

    def _track(self, frame: _Frame, views: list[View], reverse: bool) -> list[Decoded]:
        """Track objects; those that attend to the same frames form one batch."""
        decoded: dict[int, Decoded] = {}
        order = sorted(range(len(views)), key=lambda index: _layout(views[index]))
        for _, group in groupby(order, key=lambda index: _layout(views[index])):
            indices = list(group)
            batch = self._track_batch(frame, [views[index] for index in indices], reverse)
            decoded |= zip(indices, batch, strict=True)
        return [decoded[index] for index in range(len(views))]

    def _track_batch(self, frame: _Frame, views: list[View], reverse: bool) -> list[Decoded]:
        count = len(views)
        conditioned = self._model._prepare_memory_conditioned_features(
            frame_idx=views[0].position,
            is_init_cond_frame=False,
            current_vision_feats=[frame.coarse.expand(-1, count, -1)],
            current_vision_pos_embeds=[frame.positions.expand(-1, count, -1)],
            feat_sizes=[frame.size],
            output_dict={
                "cond_frame_outputs": self._stacked([view.prompted for view in views]),
                "non_cond_frame_outputs": self._stacked([view.tracked for view in views]),
            },
            num_frames=_ENDLESS,
            track_in_reverse=reverse,
        )
        finer = [features.expand(count, -1, -1, -1) for features in frame.maps[:-1]]
        heads = self._model._forward_sam_heads(
            conditioned, None, None, finer, self._model._use_multimask(False, None)
        )
        return self._decoded(frame, heads, from_prompt=False)

    def _decoded(self, frame: _Frame, heads: Any, from_prompt: bool) -> list[Decoded]:
        """Convert the outputs of the mask decoder, and encode them as memory."""
        from torch.nn.functional import interpolate

        _, _, ious, logits, large, pointers, scores = heads
        if from_prompt:
            side = self._model.image_size
            large = interpolate(logits, (side, side), mode="bilinear", align_corners=False)
        features, _ = self._model._encode_new_memory(
            current_vision_feats=[frame.coarse.expand(-1, len(logits), -1)],
            feat_sizes=[frame.size],
            pred_masks_high_res=large,
            object_score_logits=scores,
            is_mask_from_pts=from_prompt,
        )
        # The predictor stores memory in this precision, whatever precision it computes in.
        features = features.bfloat16()
        best = ious.float().amax(1).tolist()
        return [
            Decoded(
                logits[index, None],
                iou,
                score,
                {"maskmem_features": features[index, None].clone(), "obj_ptr": pointers[index, None].clone()},
            )
            for index, (iou, score) in enumerate(zip(best, scores.float()[:, 0].tolist(), strict=True))
        ]

    def _stacked(self, outputs: list[dict[int, Output]]) -> dict[int, Output]:
        """Stack the outputs of several objects in the same frames into one batch."""
        import torch

        stacked: dict[int, Output] = {}
        for position in outputs[0]:
            several = [output[position] for output in outputs]
            stacked[position] = {"obj_ptr": torch.cat([output["obj_ptr"] for output in several])}
            if "maskmem_features" in several[0]:
                features = torch.cat([output["maskmem_features"] for output in several])
                stacked[position] |= {
                    "maskmem_features": features.float(),
                    "maskmem_pos_enc": [self._positions.expand(len(several), -1, -1, -1)],
                }
        return stacked

    def _points(self, prompt: Prompt, shape: tuple[int, int]) -> dict[str, Any]:
        """Scale points to pixels of the model input."""
        import torch

        points, labels = as_points(prompt)
        scaled = torch.tensor(points, dtype=torch.float32) / torch.tensor([shape[1], shape[0]])
        return {
            "point_coords": (scaled * self._model.image_size)[None].to(self.device),
            "point_labels": torch.tensor(labels, dtype=torch.int32)[None].to(self.device),
        }

    def _mask(self, mask: np.ndarray) -> Any:
        """Resize a mask to the model input: (1, 1, h, w) of 0 and 1."""
        import torch
        from torch.nn.functional import interpolate

        large = torch.from_numpy(mask).float()[None, None].to(self.device)
        side = self._model.image_size
        if large.shape[-2:] == (side, side):
            return large
        return (
            interpolate(large, (side, side), mode="bilinear", align_corners=False, antialias=True) >= 0.5
        ).float()


def _layout(view: View) -> tuple[Any, ...]:
    """Which frames a view attends to, and which of them with full outputs."""
    full = sorted(position for position, output in view.tracked.items() if "maskmem_features" in output)
    return tuple(view.prompted), tuple(sorted(view.tracked)), tuple(full)


def _memory_positions(model: Any) -> Any:
    """Position encoding (1, C, h, w) of a memory; it is the same for every frame."""
    import torch

    side = model.image_size // _STRIDE
    shape = torch.zeros(1, model.mem_dim, side, side, device=model.device)
    return model.memory_encoder.position_encoding(shape)


@cache
def _model(weights: str, input_px: int, device: str) -> Any:
    path = require(weights)
    grid = f"[{input_px // _STRIDE},{input_px // _STRIDE}]"
    model = build(
        CONFIGS[weights],
        input_px,
        "++model.binarize_mask_from_pts_for_mem_enc=true",
        f"++model.memory_attention.layer.self_attention.feat_sizes={grid}",
        f"++model.memory_attention.layer.cross_attention.feat_sizes={grid}",
    )
    if load(model, path):
        raise MissingWeightsError(
            f"{path}: weights for images only, without the video half that tracks objects; "
            f"use sam2_image_track:{weights}, or the weights of SAM 2.1"
        )
    return model.to(device).eval()
