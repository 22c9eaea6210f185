"""Interactive segmentation: masks for the clicks and boxes of a request from Label Studio.

Images are read from the project's frames and never fetched. assist_server.py serves the requests.
"""

import threading
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import DETECTIONS, read_table
from gotowce_dagster.labels.reviews import ReviewedObject
from gotowce_dagster.review.config import MaskForm, mask_form
from gotowce_dagster.review.regions import Size, pixel_box, regions
from gotowce_dagster.segmenters.base import Interactive
from gotowce_dagster.segmenters.clicks import Clicker
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.segmenters.registry import build_segmenter


def build_model(engine: str, project: Project) -> Interactive:
    """Build the segmenter that answers clicks.

    Raises:
        InputError: The segmenter does not exist or does not accept clicks.
        MissingWeightsError: Its weights are missing.
    """
    model = build_segmenter(engine, project.params.masks)
    if not isinstance(model, Interactive):
        raise InputError(
            f"{engine} does not accept clicks; choose a segmenter that does with --engine, for example "
            f"mobile_sam:mobile_sam.pt"
        )
    return model


class Assistant:
    """Answers reviewers' clicks with masks, one request at a time."""

    def __init__(self, project: Project, model: Interactive) -> None:
        params = project.params
        self.version = f"{model.name}:{model.weights}" if model.weights else model.name
        self._paths = project.paths
        self._polygon_px = params.review.tasks.polygon_px
        self._clicker = Clicker(model, params.masks, params.review.assist)
        self._lock = threading.Lock()

    def predict(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Predict masks for a /predict request: one result per task, empty without clicks.

        Raises:
            InputError: The image is not a frame of the project, or the prompt is invalid.
        """
        context = (body.get("params") or {}).get("context") or {}
        prompts = context.get("result") or []
        form = mask_form(body["label_config"]) if prompts else "bitmask"
        answers = []
        for task in body["tasks"]:
            predicted: list[dict[str, Any]] = []
            if prompts:
                with self._lock:
                    predicted = self._regions(task["data"], prompts, form)
            score = max((region["score"] for region in predicted), default=0.0)
            answers.append({"result": predicted, "score": score, "model_version": self.version})
        return answers

    def _regions(self, data: Mapping[str, Any], prompts: list[Any], form: MaskForm) -> list[dict[str, Any]]:
        file = frame_file(self._paths, str(data["image"]))
        image = _image(file, file.stat().st_mtime_ns)
        size = Size(*image.shape[1::-1])
        prompt, class_name = prompt_of(prompts, size)
        designators = _designators(self._paths, str(data.get("video")), data.get("frame_index"))
        try:
            predicted = self._clicker.mask((file, file.stat().st_mtime_ns), image, prompt, designators)
        except ValueError as error:
            raise InputError(str(error)) from None
        if predicted is None or not predicted.mask.any():
            return []
        score = 0.0 if np.isnan(predicted.predicted_iou) else float(np.clip(predicted.predicted_iou, 0, 1))
        x, y, width, height = cv2.boundingRect(predicted.mask.astype(np.uint8))
        box = (float(x), float(y), float(x + width), float(y + height))
        thing = ReviewedObject(class_name=class_name, box=box, rle=rle.encode(predicted.mask))
        drawn = regions([(thing, score)], size, form, self._polygon_px)
        return [piece | {"id": uuid.uuid4().hex[:10]} for piece in drawn if piece["from_name"] == "mask"]


def prompt_of(prompts: list[Mapping[str, Any]], size: Size) -> tuple[Prompt, str]:
    """Convert the regions of a request to a prompt in pixels, and the class of its mask.

    The prompt has all clicks and the last box. The class is the last region's.

    Raises:
        InputError: There is neither a click nor a box, or no class was chosen.
    """
    points, labels, box, class_name = [], [], None, ""
    for region in prompts:
        kind, value = region["type"], region["value"]
        if kind == "keypointlabels":
            # A click on the far edge of the last pixel belongs to that pixel.
            x = min(value["x"] / 100 * size.width, size.width - 0.5)
            y = min(value["y"] / 100 * size.height, size.height - 0.5)
            points.append((x, y))
            labels.append(int(bool(region.get("is_positive", True))))
        elif kind == "rectanglelabels":
            box = np.array(pixel_box(value, size))
        else:
            continue
        class_name = next(iter(value.get(kind) or []), class_name)
    if not points and box is None:
        raise InputError("the request has neither a click nor a box")
    if not class_name:
        raise InputError("choose a class before clicking; the mask gets that class")
    if not points:
        return Prompt(box=box), class_name
    return Prompt(np.array(points, float), np.array(labels, int), box), class_name


def frame_file(paths: Paths, url: str) -> Path:
    """The frame file that a task shows, below data/frames.

    Raises:
        InputError: The URL is not a file there. Nothing else is read, and nothing is fetched.
    """
    parts = urlsplit(url)
    is_served = not parts.scheme and not parts.netloc and parts.path == "/data/local-files/"
    file = paths.data / parse_qs(parts.query).get("d", [""])[0]
    # Check the name, not the resolved path: the file may be a link into DVC's cache.
    lies_below = ".." not in file.parts and file.is_relative_to(paths.data / "frames")
    if not (is_served and lies_below and file.is_file()):
        raise InputError(
            f"{url}: not a frame in {paths.data / 'frames'}; masks are predicted for those frames only"
        )
    return file


@lru_cache(maxsize=4)
def _image(file: Path, changed_ns: int) -> np.ndarray:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{file}: not a readable image; extract the frames again")
    return np.ascontiguousarray(image[..., ::-1])


def _designators(paths: Paths, video: str, frame_index: Any) -> np.ndarray:
    """Designators detected in a frame, xyxy float (n, 4); empty where no detector ran."""
    file = paths.detections(video)
    if Path(video).name != video or not file.exists():
        return np.empty((0, 4))
    rows = _detections(file, file.stat().st_mtime_ns)
    return xyxy(rows[rows["frame_index"] == frame_index])


@lru_cache(maxsize=4)
def _detections(file: Path, changed_ns: int) -> Any:
    return read_table(file, DETECTIONS)
