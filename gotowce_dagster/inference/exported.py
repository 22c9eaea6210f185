"""`gotowce export-model`: a trained YOLO in the format of another runtime, checked for equal boxes.

Both models see the same images, letterboxed to the same square. Each of the surest boxes of one must be found
by the other: what an export changes shows in the largest difference of a side or a confidence.
"""

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core import extras
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.errors import GotowceError, InputError, MissingExtraError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.offline import keep_offline
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.engines.registry import engine_of
from gotowce_dagster.training.model_folder import model_file, read_arguments

RECORD = "export.json"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_LEAST_CONFIDENCE = 0.0005
_SUREST = 20
"""Boxes of an image that are compared."""
_SAME = 0.5
"""IoU from which two boxes are one."""


@dataclass(frozen=True)
class Format:
    """A format of ultralytics."""

    suffix: str
    """Of the exported file or folder, after the model's stem."""
    modules: tuple[str, ...]
    """What export and check import."""
    extra: str = ""
    """The extra of this package that brings them."""
    packages: str = ""
    """Else what to install."""
    device: str = "cpu"
    """The only device that it runs on."""
    system: str = ""
    """The only system that it runs on."""


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxruntime"), extra="export"),
    "openvino": Format("_openvino_model", ("openvino",), packages="openvino"),
    "engine": Format(".engine", ("tensorrt", "onnx"), packages="tensorrt onnx", device="cuda"),
    "coreml": Format(".mlpackage", ("coremltools",), packages="coremltools", system="Darwin"),
}


@dataclass(frozen=True)
class Exported:
    """The result of an export."""

    out: str
    format: str
    model: str
    """Name of the exported file or folder in ``out``."""
    input_px: int
    """Side of its square input, pixels."""
    images: int
    boxes: int
    """Boxes compared."""
    largest_px: float
    """Largest difference of a side of a box, pixels of the image."""
    largest_confidence: float


def obstacle(format_name: str) -> str | None:
    """Why a format cannot be exported and checked on this machine, and what to do; None if it can."""
    traits = FORMATS[format_name]
    if traits.system and platform.system() != traits.system:
        return f"{format_name}: runs on macOS only, so its boxes cannot be compared here; export it there"
    if traits.device == "cuda" and best_device() != "cuda":
        return f"{format_name}: needs an NVIDIA GPU, for which it is built; export it on that machine"
    if traits.extra:
        reason = extras.obstacle(traits.extra)
        return f"{format_name}: {reason}" if reason else None
    missing = [module for module in traits.modules if find_spec(module) is None]
    if missing:
        return f"{format_name}: needs {', '.join(missing)}; run `pip install {traits.packages}`"
    return None


def export_model(
    folder: Path,
    format_name: str,
    images: Sequence[Path],
    out: Path,
    *,
    tolerance_px: float,
    tolerance_confidence: float,
    progress: Progress = silent,
) -> Exported:
    """Export a trained model and compare its boxes with the original's; nothing is kept if they differ.

    Args:
        folder: of the stage finetuned_model.
        images: sample images.
        out: folder to write; an earlier export in it is replaced.
        progress: called with images compared.

    Raises:
        InputError: there is no model, it is not of the engine yolo or not trusted, there are no images, or
            ``out`` contains other files.
        MissingExtraError: a library or the platform of the format is missing.
        GotowceError: the boxes differ by more than the tolerance.
    """
    if out.exists() and not (out.is_dir() and ((out / RECORD).exists() or not any(out.iterdir()))):
        raise InputError(f"{out}: is not a folder of an export; choose another folder with --out")
    arguments, weights = read_arguments(folder), model_file(folder)
    if (engine := engine_of(weights).name) != "yolo":
        raise InputError(f"{weights}: a model of the engine {engine}; only models of yolo can be exported")
    if not images:
        raise InputError("no sample images to compare boxes on; name a folder of images with --images")
    require_trusted(weights)
    if reason := obstacle(format_name):
        raise MissingExtraError(reason)
    side = arguments.get("tile_px", 0) or arguments["imgsz"]
    with fresh_dir(out) as new:
        model = _convert(weights, format_name, side, new)
        compared = _compare(
            weights, model, side, images, device=FORMATS[format_name].device, progress=progress
        )
        done = Exported(str(out), format_name, model.name, side, len(images), *compared)
        if done.largest_px > tolerance_px or done.largest_confidence > tolerance_confidence:
            raise GotowceError(
                f"{format_name}: boxes differ by up to {done.largest_px:.3g} px and confidences by up to "
                f"{done.largest_confidence:.3g} in {done.images} images, more than {tolerance_px:g} px and "
                f"{tolerance_confidence:g}; nothing was written"
            )
        record = asdict(done) | {"weights_sha256": content_sha256(weights)}
        record |= {library: version(library) for library in ("ultralytics", "torch")}
        record.pop("out")
        (new / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return done


def sample_images(folder: Path, count: int) -> list[Path]:
    """Image files of a folder, evenly spaced by name.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name a folder of images with --images")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
    return [found[place] for place in evenly(len(found), count)]


def differences(one: sv.Detections, other: sv.Detections) -> tuple[int, float, float]:
    """Compare the boxes of two models in one image.

    Returns:
        The number of boxes compared, and the largest differences of a side (pixels) and of a confidence; both
        are infinite if a box of one has none of its class in the other that overlaps it.
    """
    parts = [_differences(_surest(one), other), _differences(_surest(other), one)]
    return parts[0][0], max(part[1] for part in parts), max(part[2] for part in parts)


def _differences(wanted: sv.Detections, known: sv.Detections) -> tuple[int, float, float]:
    if not len(wanted):
        return 0, 0.0, 0.0
    if not len(known):
        return len(wanted), np.inf, np.inf
    overlap = sv.box_iou_batch(wanted.xyxy, known.xyxy)
    overlap[np.asarray(wanted.class_id)[:, None] != np.asarray(known.class_id)[None]] = 0
    # Of several boxes at one place, the one of the same confidence is meant.
    apart = np.abs(_confidence(wanted)[:, None] - _confidence(known)[None])
    rows, columns = linear_sum_assignment(np.where(overlap >= _SAME, overlap - apart, -2.0), maximize=True)
    real = overlap[rows, columns] >= _SAME
    if real.sum() < len(wanted):
        return len(wanted), np.inf, np.inf
    sides = np.abs(wanted.xyxy[rows] - known.xyxy[columns])
    return len(wanted), float(sides.max()), float(apart[rows, columns].max())


def _surest(found: sv.Detections) -> sv.Detections:
    kept = found[np.argsort(-_confidence(found), kind="stable")[:_SUREST]]
    assert isinstance(kept, sv.Detections)
    return kept


def _confidence(found: sv.Detections) -> np.ndarray:
    return np.asarray(found.confidence, float).reshape(-1)


def _convert(weights: Path, format_name: str, side: int, folder: Path) -> Path:
    keep_offline()
    from ultralytics import YOLO

    # ultralytics writes beside the weights.
    copy = folder / weights.name
    shutil.copyfile(weights, copy)
    settings: dict[str, Any] = {"format": format_name, "imgsz": side, "simplify": False, "verbose": False}
    device = "0" if FORMATS[format_name].device == "cuda" else "cpu"
    try:
        made = Path(YOLO(copy).export(**settings, device=device))
    except Exception as error:
        # What the tools of a format raise is anything.
        why = " ".join(str(error).split())
        raise GotowceError(f"{format_name}: ultralytics could not export {weights} ({why})") from None
    expected = folder / f"{weights.stem}{FORMATS[format_name].suffix}"
    if made.resolve() != expected.resolve():
        raise GotowceError(f"{format_name}: ultralytics wrote {made.name}, expected {expected.name}")
    for other in folder.iterdir():
        if other != expected and other.is_file():
            other.unlink()
    return expected


def _compare(
    weights: Path, model: Path, side: int, images: Sequence[Path], *, device: str, progress: Progress
) -> tuple[int, float, float]:
    from ultralytics import YOLO

    original, exported = YOLO(weights), YOLO(model, task="detect")
    boxes, pixels, confidence = 0, 0.0, 0.0
    for file in tracked(images, len(images), progress):
        image = _centre(read_rgb(file), side)
        both = [_look(some, image, side, device) for some in (original, exported)]
        counted, px, sureness = differences(*both)
        boxes, pixels, confidence = boxes + counted, max(pixels, px), max(confidence, sureness)
    if not boxes:
        raise GotowceError(f"{weights}: finds nothing in the sample images, so no box can be compared")
    return boxes, pixels, confidence


def _look(model: Any, image: np.ndarray, side: int, device: str) -> sv.Detections:
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    # An exported model takes squares only.
    (result,) = model.predict(
        bgr, imgsz=side, rect=False, conf=_LEAST_CONFIDENCE, device=device, verbose=False
    )
    return sv.Detections.from_ultralytics(result)


def _centre(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of an image at its own scale, of at most ``side`` pixels a side."""
    height, width = image.shape[:2]
    y, x = max(height - side, 0) // 2, max(width - side, 0) // 2
    return image[y : y + side, x : x + side]
