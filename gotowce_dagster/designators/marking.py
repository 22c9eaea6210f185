"""A page to annotate example boxes for calibration: one self-contained HTML file that needs no server."""

import base64
from collections.abc import Iterable, Sequence
from importlib.resources import files

import cv2
import jinja2
import numpy as np

_JPEG_QUALITY = 95


def marking_page(
    clip: str, frames: Iterable[tuple[int, np.ndarray]], complete: Sequence[str] | None = None
) -> str:
    """Render a page on which users draw boxes on frames and save them as CSV.

    Args:
        clip: file name of the video, written to every row.
        frames: (frame_index, RGB uint8 (H, W, 3)).
        complete: classes of targets, if every object of a frame is to be boxed.

    Returns:
        HTML; its button saves rows in the format of truth.read_truth, or of truth.read_complete_truth.
    """
    pictures = [{"index": index, "source": _source(image)} for index, image in frames]
    template = files("gotowce_dagster.designators").joinpath("marking.html.jinja").read_text(encoding="utf-8")
    return (
        jinja2.Environment(autoescape=True)
        .from_string(template)
        .render(clip=clip, frames=pictures, complete=complete)
    )


def _source(image: np.ndarray) -> str:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
