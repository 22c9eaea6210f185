"""A page to mark example boxes on frames, for calibration: one self-contained HTML file, no server needed."""

import base64
from collections.abc import Iterable
from importlib.resources import files

import cv2
import jinja2
import numpy as np

_JPEG_QUALITY = 95


def marking_page(clip: str, frames: Iterable[tuple[int, np.ndarray]]) -> str:
    """A page that shows frames, lets boxes be drawn on them, and gives them back as CSV.

    Args:
        clip: the video file's name, written into every row.
        frames: (frame_index, RGB uint8 (H, W, 3)).

    Returns:
        HTML whose button saves rows as tables.read_truth reads them.
    """
    pictures = [{"index": index, "source": _source(image)} for index, image in frames]
    template = files("gotowce_dagster.designators").joinpath("marking.html.jinja").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True).from_string(template).render(clip=clip, frames=pictures)


def _source(image: np.ndarray) -> str:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
