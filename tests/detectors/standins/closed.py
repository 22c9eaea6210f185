"""Stand-ins of closed-set detectors, and of the open-vocabulary models of ultralytics."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gotowce_dagster.core.offline import keep_offline
from tests.detectors.standins.parts import saved, seeded

_SIZE = {"height": 64, "width": 64}


def yolo(path: Path, architecture: str, classes: Sequence[str]) -> Path:
    """A YOLO with these classes, in a file of ultralytics."""
    model = _untrained("YOLO", architecture)
    inner: Any = model.model
    inner.names = dict(enumerate(classes))
    model.save(path)
    return path


def yolo_world(path: Path) -> Path:
    """The smallest YOLO-World, in a file of ultralytics."""
    _untrained("YOLOWorld", "yolov8n-worldv2.yaml").save(path)
    return path


def yoloe(path: Path, classes: Sequence[str]) -> Path:
    """The smallest YOLOE in a file of ultralytics, without classes, or with random embeddings of them."""
    model = _untrained("YOLOE", "yoloe-11n.yaml")
    if classes:
        import torch

        inner: Any = model.model
        head = inner.model[-1]
        model.set_classes(list(classes), head.get_tpe(torch.randn(1, len(classes), 512)).detach())
    model.save(path)
    return path


def _untrained(kind: str, architecture: str) -> Any:
    """A model of ultralytics with seeded random weights."""
    keep_offline()
    import torch
    import ultralytics

    torch.manual_seed(1)
    return getattr(ultralytics, kind)(architecture)


def _common(classes: Sequence[str]) -> dict[str, Any]:
    """Settings of a small detection transformer with these classes."""
    return {"d_model": 32, "decoder_layers": 2, "num_queries": 20, "id2label": dict(enumerate(classes))}


def rf_detr(folder: Path, classes: Sequence[str] = ("ship", "person", "bus")) -> Path:
    """RF-DETR whose input has a multiple of 16 pixels."""
    from transformers import RfDetrConfig, RfDetrForObjectDetection, RfDetrImageProcessor

    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "num_windows": 2,
        "out_features": ["stage1", "stage2"],
    }
    config = RfDetrConfig(
        backbone_config=backbone,
        **_common(classes),
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2,
        decoder_ffn_dim=64,
        group_detr=2,
        c2f_num_blocks=1,
    )
    images = RfDetrImageProcessor(size=_SIZE, do_pad=False)
    return saved(folder, seeded(RfDetrForObjectDetection, config), images)


def d_fine(folder: Path, classes: Sequence[str] = ("ship", "person", "bus")) -> Path:
    """D-FINE with two feature maps, of 8 and 16 pixels."""
    from transformers import DFineConfig, DFineForObjectDetection, RTDetrImageProcessor

    backbone = {
        "model_type": "hgnet_v2",
        "out_indices": [2, 3],
        "depths": [1, 1, 1],
        "stem_channels": [3, 8, 8],
        "stage_in_channels": [8, 16, 24],
        "stage_mid_channels": [8, 8, 8],
        "stage_out_channels": [16, 24, 32],
        "stage_num_blocks": [1, 1, 1],
        "stage_numb_of_layers": [1, 1, 1],
        "stage_downsample": [False, True, True],
        "stage_light_block": [False, False, True],
        "stage_kernel_size": [3, 3, 3],
        "embedding_size": 8,
        "hidden_sizes": [16, 24, 32],
    }
    config = DFineConfig(
        backbone_config=backbone,
        **_common(classes),
        encoder_hidden_dim=32,
        encoder_in_channels=[24, 32],
        feat_strides=[8, 16],
        encode_proj_layers=[1],
        num_feature_levels=2,
        decoder_in_channels=[32, 32],
        decoder_n_points=[2, 2],
        decoder_attention_heads=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_denoising=10,
    )
    return saved(folder, seeded(DFineForObjectDetection, config), RTDetrImageProcessor(size=_SIZE))
