"""The engine ``rfdetr``: RF-DETR (Robinson et al. 2025) of ``transformers``."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gotowce_dagster.training.engines.detr import Detr


class RfDetr(Detr):
    """RF-DETR, in a folder."""

    name = "rfdetr"
    model_type = "rf_detr"
    losses: ClassVar[Mapping[str, str]] = {"loss_ce": "class", "loss_bbox": "box", "loss_giou": "giou"}

    def stride(self, config: Any) -> int:
        """Its backbone cuts the input into windows of whole patches."""
        return config.backbone_config.patch_size * config.backbone_config.num_windows
