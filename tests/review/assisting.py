"""Requests to the server of interactive segmentation."""

from typing import Any

import numpy as np

from gotowce_dagster.review.assist_server import (
    new_token,
)
from gotowce_dagster.review.config import labelling_config
from gotowce_dagster.review.regions import Size, percent_box
from tests.worlds import HEIGHT, WIDTH, box_at

SIZE = Size(WIDTH, HEIGHT)


CONFIG = labelling_config(["hostile", "neutral"], "bitmask")


TOKEN = "0123456789abcdef"


PASSWORD = new_token()


AUTH = ("gotowce", PASSWORD)


def click(x: float, y: float, *, positive: bool = True, name: str = "hostile") -> dict[str, Any]:
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.3, "keypointlabels": [name]}
    return {"type": "keypointlabels", "is_positive": positive, "value": value}


def rectangle(x1: float, y1: float, x2: float, y2: float, name: str = "hostile") -> dict[str, Any]:
    value = {**percent_box((x1, y1, x2, y2), SIZE), "rotation": 0, "rectanglelabels": [name]}
    return {"type": "rectanglelabels", "value": value}


def task(frame: int = 0, file: str = "") -> dict[str, Any]:
    image = file or f"/data/local-files/?d=frames/duel/{frame:06d}.jpg"
    return {"id": 7, "data": {"image": image, "video": "duel", "frame_index": frame}}


def request(*regions: dict[str, Any], config: str = CONFIG, **of_task: Any) -> dict[str, Any]:
    context = {"result": list(regions)} if regions else None
    return {"tasks": [task(**of_task)], "label_config": config, "params": {"context": context}}


def middle(number: int) -> tuple[float, float]:
    x1, y1, x2, y2 = box_at(number)
    return (x1 + x2) / 2, (y1 + y2) / 2


def square(number: int) -> np.ndarray:
    x1, y1, x2, y2 = box_at(number).astype(int)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y1:y2, x1:x2] = True
    return mask
