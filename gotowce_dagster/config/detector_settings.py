"""Settings of detectors in params.yaml: one class per kind, selected by ``kind``.

any_detector.py has what all kinds share, local_detectors.py and hosted_detectors.py one class per kind.
"""

from typing import Annotated, get_args

from pydantic import Field

from gotowce_dagster.config.any_detector import (
    CHANNELS,
    Channel,
    Common,
    CropSettings,
    InputSettings,
    Model,
    Prompted,
    Threshold,
    TileSettings,
)
from gotowce_dagster.config.hosted_detectors import HostedSettings, MoondreamServerSettings, Online
from gotowce_dagster.config.local_detectors import (
    BracketSettings,
    CaptionerSettings,
    Florence2Settings,
    Kosmos2Settings,
    MoondreamSettings,
    Owlv2Settings,
    RfDetrSettings,
    Sam3Settings,
    YoloeSettings,
    YoloSettings,
    YoloWorldSettings,
    ZeroShotSettings,
)

__all__ = [
    "CHANNELS",
    "KINDS",
    "BracketSettings",
    "CaptionerSettings",
    "Channel",
    "Common",
    "CropSettings",
    "DescriberSettings",
    "DetectorSettings",
    "Florence2Settings",
    "HostedSettings",
    "InputSettings",
    "Kosmos2Settings",
    "Model",
    "MoondreamServerSettings",
    "MoondreamSettings",
    "Online",
    "OpenSettings",
    "Owlv2Settings",
    "Prompted",
    "RfDetrSettings",
    "Sam3Settings",
    "Threshold",
    "TileSettings",
    "YoloSettings",
    "YoloWorldSettings",
    "YoloeSettings",
    "ZeroShotSettings",
]

_Any = (
    BracketSettings
    | YoloSettings
    | YoloWorldSettings
    | RfDetrSettings
    | ZeroShotSettings
    | Sam3Settings
    | Owlv2Settings
    | YoloeSettings
    | Florence2Settings
    | Kosmos2Settings
    | MoondreamSettings
    | HostedSettings
    | MoondreamServerSettings
)
DetectorSettings = Annotated[_Any, Field(discriminator="kind")]
OpenSettings = Annotated[YoloWorldSettings | ZeroShotSettings, Field(discriminator="kind")]
"""Open-vocabulary detectors with confidences."""
DescriberSettings = Annotated[
    Kosmos2Settings
    | Florence2Settings
    | MoondreamSettings
    | MoondreamServerSettings
    | HostedSettings
    | CaptionerSettings,
    Field(discriminator="kind"),
]
"""Models that can describe an image in words; see detectors/describe.py."""

KINDS: tuple[str, ...] = tuple(kind.model_fields["kind"].default for kind in get_args(_Any))

# A crop's settings contain those of another detector.
for _recursive in (CropSettings, InputSettings, Common):
    _recursive.model_rebuild(_types_namespace={"DetectorSettings": DetectorSettings})


def kinds_with(weights: str) -> list[str]:
    """The kinds of detectors whose default weights have this name."""
    fields = [kind.model_fields for kind in get_args(_Any)]
    return [one["kind"].default for one in fields if "weights" in one and one["weights"].default == weights]
