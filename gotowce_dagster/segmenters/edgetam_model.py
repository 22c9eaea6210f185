"""The models of EdgeTAM (Zhou et al. 2025) in ``transformers``: SAM 2 with a mobile backbone."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np

from gotowce_dagster.core import extras
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.fetch import no_hub
from gotowce_dagster.core.trust import restrict_unpickling
from gotowce_dagster.core.weights import require

DEFAULT = "EdgeTAM-hf"

_STRIDES = (4, 8, 16)
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@cache
def model(half: Literal["image", "video"], weights: str, input_px: int, device: str) -> Any:
    """Load a model that is ready to run; it is built once per process.

    Args:
        input_px: side of the model's square input, in pixels.

    Raises:
        InputError: the video model does not support this size, or timm is not installed.
        MissingWeightsError: the weights are not on this machine and cannot be fetched, or are damaged.
    """
    extras.require("edgetam", "edgetam")
    from safetensors import SafetensorError
    from transformers import AutoConfig, EdgeTamModel, EdgeTamVideoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    restrict_unpickling()

    folder = require(weights)
    try:
        with no_hub():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            resize(config, input_px)
            kind = EdgeTamModel if half == "image" else EdgeTamVideoModel
            loaded: Any = kind.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise MissingWeightsError(f"{folder}: damaged, or not EdgeTAM ({reason}); fetch it again") from None
    built, loading_info = loaded
    if lacking := loading_info["missing_keys"]:
        raise MissingWeightsError(
            f"{folder}: lacks {len(lacking)} tensors, as {min(lacking)}; fetch it again"
        )
    return built.to(device).eval()


def resize(config: Any, input_px: int) -> None:
    """Set the input size in a configuration.

    Raises:
        InputError: a video model's memory, a square of latents, does not divide this size.
    """
    latents = getattr(config, "perceiver_resampler_num_latents_2d", 1)
    unit = _STRIDES[-1] * int(latents**0.5)
    if input_px % unit:
        raise InputError(f"input_px: EdgeTAM sees squares of a multiple of {unit} pixels, not of {input_px}")
    sides = [input_px // stride for stride in _STRIDES]
    config.image_size = config.prompt_encoder_config.image_size = input_px
    config.vision_config.backbone_feature_sizes = [[side, side] for side in sides]
    config.memory_attention_rope_feat_sizes = [sides[-1], sides[-1]]


def pixels(images: Sequence[np.ndarray], input_px: int, device: str) -> Any:
    """Preprocess RGB uint8 images (h, w, 3) to a tensor (n, 3, input_px, input_px)."""
    import torch
    from torch.nn.functional import interpolate

    size = (input_px, input_px)
    tensors = (torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() for image in images)
    resized = [interpolate(tensor, size, mode="bilinear", antialias=True) for tensor in tensors]
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))
    return (torch.cat(resized) / 255 - mean) / std
