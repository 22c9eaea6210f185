"""Preview of a calibration: does it detect the mark, the whole mark, and nothing but the mark?"""

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.designators.calibrate import Calibration, Fit
from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from gotowce_dagster.designators.profile import AnyDesignator, Designator
from gotowce_dagster.designators.selfcheck import SelfCheck
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import closeup

_SIDE = 320
_MARGIN = 0.3
_SHOWN = 6


def calibration_picture(calibration: Calibration) -> np.ndarray:
    """Draw close-ups of examples with the detected box and mark pixels, and the colours and numbers learned.

    Returns:
        RGB uint8 (H, W, 3).
    """
    designator = calibration.designator
    first = calibration.fits[0].example
    images = [_swatches(designator), _mask_picture(first.image, designator)]
    captions = [_numbers(designator), f"frame {first.frame_index}, whole\npixels of the mark's colours"]
    for fit in calibration.fits[:_SHOWN]:
        images += _close_ups(fit, designator)
        frame = fit.example.frame_index
        captions += [
            f"frame {frame}, confidence {fit.confidence:.2f}\nthe detected box",
            f"frame {frame}\npixels of the mark's colours",
        ]
    return contact_sheet(images, captions, columns=4, tile_width=_SIDE)


def _close_ups(fit: Fit, designator: AnyDesignator) -> list[np.ndarray]:
    image = fit.example.image
    boxes = from_boxes(fit.box, class_name=[designator.class_name])
    pair = ((image, boxes, [""]), (_mask_picture(image, designator), sv.Detections.empty(), []))
    return [closeup(*arguments, box=fit.box, side=_SIDE, margin=_MARGIN) for arguments in pair]


def _mask_picture(image: np.ndarray, designator: AnyDesignator) -> np.ndarray:
    mask = mark_mask(to_ycrcb(image), designator) * np.uint8(255)
    return np.repeat(mask[..., None], 3, axis=-1)


def _swatches(designator: AnyDesignator) -> np.ndarray:
    """Draw each colour as a row from dark to bright, with saturation increasing downwards."""
    rows = [_swatch(colour) for colour in designator.colours]
    return cv2.resize(np.concatenate(rows), (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)


def _swatch(colour: Colour, steps: int = 8) -> np.ndarray:
    low, high = (np.array(bound, float) for bound in colour.bounds)
    share = np.linspace(0, 1, steps)
    grey = np.array([0, 128, 128])
    paler = np.where(np.abs(low - grey) < np.abs(high - grey), low, high)
    fuller = low + high - paler
    ycrcb = np.empty((steps, steps, 3))
    ycrcb[..., 0] = low[0] + share * (high[0] - low[0])
    ycrcb[..., 1:] = (paler + share[:, None] * (fuller - paler))[:, None, 1:]
    return cv2.cvtColor(ycrcb.round().astype(np.uint8), cv2.COLOR_YCrCb2RGB)


def _numbers(designator: AnyDesignator) -> str:
    smallest, largest = designator.size_px
    if isinstance(designator, Designator):
        arm, gap = designator.arm, designator.gap
        return (
            f"{designator.name}: arm {arm[0]:.2f}-{arm[1]:.2f}, gap {gap[0]:.2f}-{gap[1]:.2f}\n"
            f"line {designator.thickness_px} px, side from {smallest:.0f} px"
        )
    kind = " ".join(filter(None, (designator.family, getattr(designator, "shape", ""))))
    pointers = getattr(designator, "pointers", 0)
    return (
        f"{designator.name}: {kind}{f' {pointers}' if pointers else ''}\n"
        f"longer side {smallest:.0f}-{largest:.0f} px, target {designator.target.where}"
    )


_ORDER = ("suspicious", "doubtful", "sure")


def check_picture(check: SelfCheck, class_name: str, most: int = 8) -> np.ndarray:
    """Findings in unseen frames close up, the suspicious ones first, then doubtful, then sure ones.

    Args:
        most: findings of each kind that are shown.

    Returns:
        RGB uint8 (H, W, 3).
    """
    images, captions = [], []
    for kind in _ORDER:
        found = [finding for finding in check.findings if finding.kind == kind]
        for finding in found[:: max(len(found) // most, 1)][:most]:
            boxes = from_boxes(finding.box, class_name=[class_name])
            images.append(
                closeup(
                    finding.shown.image, boxes, [""], box=finding.box, side=_SIDE, margin=max(_MARGIN, 0.8)
                )
            )
            captions.append(f"frame {finding.shown.frame_index}: {kind}\nconfidence {finding.confidence:.2f}")
    if not images:
        images, captions = (
            [np.zeros((_SIDE, _SIDE, 3), np.uint8)],
            [f"nothing found\nin {check.frames} frames"],
        )
    return contact_sheet(images, captions, columns=4, tile_width=_SIDE)
