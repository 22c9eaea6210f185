"""Video models with the architecture of SAM 2 in ``transformers``: EdgeTAM and SAM 3's tracker.

The streaming session of ``transformers`` keeps every frame and every output, and does not return the
predicted IoU. This propagator runs the same models with the same results and the bounded memory of memory.py.
"""

from abc import abstractmethod
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.propagation.memory import Memory, View
from gotowce_dagster.propagation.streaming import Decoded, Streaming
from gotowce_dagster.segmenters.prompts import Prompt, as_points


@dataclass(frozen=True)
class _Frame:
    """Image features of one frame."""

    finer: list[Any]
    """Feature maps (1, C, h, w) of all levels but the coarsest, finest first."""
    coarse: Any
    """Tokens (h * w, 1, C) of the coarsest level."""
    positions: Any
    """Position encoding of those tokens."""


class HubTracker(Streaming):
    """Propagator with a loaded video model.

    Args:
        model: of ``transformers``, on ``device``.
        side: side of its square input, pixels.
    """

    def __init__(self, model: Any, side: int, weights: str, device: str, params: MasksParams) -> None:
        self._model, self._side = model, side
        pointers = model.config.max_object_pointers_in_encoder - 1
        memory = Memory(model.num_maskmem - 1, pointers, "object_pointer")
        super().__init__(weights, device, memory, params.propagation.max_conditioning)

    @abstractmethod
    def _pixels(self, image: np.ndarray) -> Any:
        """Preprocess an RGB uint8 image (h, w, 3) to a tensor (1, 3, side, side)."""

    def _encode(self, image: np.ndarray) -> _Frame:
        inputs = self._pixels(image)
        encoded = self._model.get_image_features(inputs, return_dict=True)
        *finer, coarse = encoded.fpn_hidden_states
        sizes = self._model.backbone_feature_sizes
        return _Frame(
            [
                tokens.permute(1, 2, 0).reshape(1, -1, *size)
                for tokens, size in zip(finer, sizes[:-1], strict=True)
            ],
            coarse,
            encoded.fpn_position_encoding[-1],
        )

    def _decode_prompt(self, frame: _Frame, prompt: Prompt, shape: tuple[int, int]) -> Decoded:
        if prompt.mask is not None:
            tokens = frame.coarse.permute(1, 2, 0)
            coarse = tokens.reshape(1, -1, *self._model.backbone_feature_sizes[-1])
            found = self._model._use_mask_as_output(coarse, frame.finer, self._mask(prompt.mask))
        else:
            found = self._decode_object(frame, View(0, {}, {}), self._points(prompt, shape), first=True)
        return self._decoded(frame, found, from_prompt=True)

    def _track(self, frame: _Frame, views: list[View], reverse: bool) -> list[Decoded]:
        return [
            self._decoded(frame, self._decode_object(frame, view, None, reverse=reverse), from_prompt=False)
            for view in views
        ]

    def _decode_object(
        self,
        frame: _Frame,
        view: View,
        points: dict[str, Any] | None,
        first: bool = False,
        reverse: bool = False,
    ) -> Any:
        memory = {"cond_frame_outputs": view.prompted, "non_cond_frame_outputs": view.tracked}
        conditioned = self._model._prepare_memory_conditioned_features(
            inference_session=SimpleNamespace(output_dict_per_obj={0: memory}, dtype=frame.coarse.dtype),
            frame_idx=view.position,
            obj_idx=0,
            is_initial_conditioning_frame=first,
            current_vision_features=frame.coarse,
            current_vision_positional_embeddings=frame.positions,
            num_total_frames=None,
            track_in_reverse_time=reverse,
            streaming=True,
        )
        return self._model._single_frame_forward(
            input_points=points["point_coords"] if points else None,
            input_labels=points["point_labels"] if points else None,
            image_embeddings=[*frame.finer, conditioned],
            multimask_output=self._model._use_multimask(first, points),
        )

    def _decoded(self, frame: _Frame, found: Any, from_prompt: bool) -> Decoded:
        features, positions = self._model._encode_new_memory(
            current_vision_feats=frame.coarse,
            pred_masks_high_res=found.high_res_masks,
            object_score_logits=found.object_score_logits,
            is_mask_from_pts=from_prompt,
        )
        return Decoded(
            found.pred_masks,
            float(found.iou_scores.max()),
            float(found.object_score_logits),
            {
                "maskmem_features": features,
                "maskmem_pos_enc": positions,
                "object_pointer": found.object_pointer,
            },
        )

    def _points(self, prompt: Prompt, shape: tuple[int, int]) -> dict[str, Any]:
        """Scale points to pixels of the model input."""
        import torch

        points, labels = as_points(prompt)
        scaled = torch.tensor(points / np.array(shape[::-1]) * self._side, dtype=torch.float32)
        return {
            "point_coords": scaled[None, None].to(self.device),
            "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None].to(self.device),
        }

    def _mask(self, mask: np.ndarray) -> Any:
        """Resize a mask to the model input: (1, 1, h, w) of 0 and 1."""
        import torch
        from torch.nn.functional import interpolate

        large = torch.from_numpy(mask).float()[None, None].to(self.device)
        resized = interpolate(large, (self._side, self._side), mode="bilinear", antialias=True)
        return (resized >= 0.5).float()
