"""Models of the ``sam2`` package: for images in segmenters/sam2.py, for videos in propagation/sam2.py.

This is the only module that uses hydra, with which the package builds its models.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from gotowce_dagster.core.errors import MissingWeightsError

CONFIGS = {
    "sam2_hiera_tiny_image.pt": "configs/sam2/sam2_hiera_t.yaml",
    "sam2.1_hiera_tiny.pt": "configs/sam2.1/sam2.1_hiera_t.yaml",
    "sam2.1_hiera_small.pt": "configs/sam2.1/sam2.1_hiera_s.yaml",
    "sam2.1_hiera_base_plus.pt": "configs/sam2.1/sam2.1_hiera_b+.yaml",
    "sam2.1_hiera_large.pt": "configs/sam2.1/sam2.1_hiera_l.yaml",
}

# Not used by image prompts, so checkpoints for images may lack these tensors.
_VIDEO_ONLY = (
    "mask_downsample", "maskmem_tpos_enc", "memory_attention", "memory_encoder", "no_mem_pos_enc",
    "no_obj_ptr", "obj_ptr_proj", "obj_ptr_tpos_proj", "no_obj_embed_spatial",
    "sam_mask_decoder.pred_obj_score_head",
)  # fmt: skip

_NOT_THE_WEIGHTS = "{}: damaged, or not the weights its name says ({}); remove it and fetch it again"


def build(config: str, input_px: int, *overrides: str) -> Any:
    """Build the architecture with random weights, on the CPU.

    ``import sam2`` initialises hydra with a version_base that hydra 1.4 refuses, unless hydra is already
    initialised. A hydra that stays initialised would break its next user in this process, such as DVC, so it
    is cleared.

    Args:
        config: one of CONFIGS.
        input_px: side of the model's square input, in pixels; a multiple of 32.
        overrides: further overrides for hydra.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    try:
        hydra.initialize_config_module("sam2")
        from sam2.build_sam import build_sam2

        with hydra.utils.execution_whitelist(["sam2.*", "torch.*"]):
            changes = [f"++model.image_size={input_px}", *overrides]
            return build_sam2(config, device="cpu", hydra_overrides_extra=changes)
    finally:
        GlobalHydra.instance().clear()


def load(model: Any, path: Path) -> list[str]:
    """Load weights into the architecture.

    Returns:
        Names of the tensors missing from the file: none, or only such as image prompts never use.

    Raises:
        MissingWeightsError: the file is damaged, or its weights are for another architecture.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        missing, unknown = model.load_state_dict(state, strict=False)
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise MissingWeightsError(_NOT_THE_WEIGHTS.format(path, str(error).splitlines()[0])) from None
    if wrong := [*unknown, *(key for key in missing if not key.startswith(_VIDEO_ONLY))]:
        raise MissingWeightsError(
            _NOT_THE_WEIGHTS.format(path, f"{len(wrong)} tensors differ, as {wrong[0]}")
        )
    return missing
