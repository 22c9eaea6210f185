"""How a running step shows where it is, and how its result is shown."""

import base64
import time
from collections.abc import Callable

import cv2
import dagster as dg
import numpy as np

from gotowce_dagster.progress import Progress
from gotowce_dagster.project import Project
from gotowce_dagster.stages.base import Preview, Stage

ProgressOf = Callable[[dg.AssetExecutionContext], Progress]
"""The resource `progress`: gives a step its progress callback."""

_LOG_EVERY_S = 10.0
# Dagster's event log keeps every picture for ever, so each one stays small.
_PICTURE_BYTES = 100_000
_PICTURE_WIDTH = 1280


def log_progress(context: dg.AssetExecutionContext) -> Progress:
    """A progress callback for one step that writes to Dagster's log: how many, how fast, how long still."""
    start = told = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < _LOG_EVERY_S or not done:
            return
        told = now
        rate = done / (now - start)
        context.log.info(
            f"{done}/{total} ({done / total:.0%}), {rate:.2g}/s, {(total - done) / rate:.0f} s left"
        )

    return show


def preview_of(project: Project, stage: Stage, video: str | None) -> Preview:
    """The stage's preview, made from its outputs as they are on disk."""
    return stage.preview(project, video) if stage.per_video else stage.preview(project)


def preview_metadata(preview: Preview) -> dict[str, dg.MetadataValue]:
    """A preview as Dagster shows it: numbers that it plots over time, notes, and the picture inline."""
    metadata: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.text(value) if isinstance(value, str) else _number(value)
        for name, value in preview.numbers.items()
    }
    if preview.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in preview.notes))
    if preview.picture is not None:
        metadata["picture"] = dg.MetadataValue.md(f"![picture]({data_uri(preview.picture)})")
    return metadata


def data_uri(picture: np.ndarray, limit: int = _PICTURE_BYTES) -> str:
    """An RGB picture as a JPEG data URI of at most ``limit`` bytes, smaller and coarser until it fits."""
    scale = min(1.0, _PICTURE_WIDTH / picture.shape[1])
    for quality in (85, 75, 65, 55, 45, 35, 25):
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        if jpeg.size <= limit * 3 // 4:
            break
        scale *= 0.9
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def _number(value: float) -> dg.MetadataValue:
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(value))
