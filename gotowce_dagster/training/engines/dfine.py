"""The engine ``dfine``: D-FINE (Peng et al. 2024) of ``transformers``."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gotowce_dagster.training.engines.detr import Detr


class DFine(Detr):
    """D-FINE, in a folder."""

    name = "dfine"
    model_type = "d_fine"
    losses: ClassVar[Mapping[str, str]] = {"loss_vfl": "class", "loss_bbox": "box", "loss_giou": "giou"}

    def stride(self, config: Any) -> int:
        """The coarsest of its feature maps."""
        return max(config.feat_strides)
