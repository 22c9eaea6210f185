"""Progress of a running step in Dagster's log, and previews as metadata."""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np

from gotowce_dagster.core.progress import Progress
from gotowce_dagster.pictures.embed import data_uri
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.video.names import slug

ProgressOf = Callable[[dg.AssetExecutionContext], Progress]
"""The resource `progress`: returns the progress callback of a step."""

_LOG_EVERY_S = 10.0
# Dagster's event log keeps every picture forever, so those of one event must be small together.
_INLINE_BYTES = 20_000
_WIDTHS = (640, 480, 320, 160)


def log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Create a progress callback that writes count, rate and remaining time to Dagster's log."""
    start = last_log = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last_log
        now = time.monotonic()
        if now - last_log < _LOG_EVERY_S or not done:
            return
        last_log = now
        rate = done / (now - start)
        context.log.info(
            f"{done}/{total} ({done / total:.0%}), {rate:.2g}/s, {(total - done) / rate:.0f} s left"
        )

    return show


def preview_metadata(preview: Preview, folder: Path | None) -> dict[str, dg.MetadataValue]:
    """Convert a preview to metadata: numbers, which Dagster plots over time, notes, and small pictures.

    Args:
        folder: Where the pictures are written in full size; None writes none.
    """
    metadata: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.text(value) if isinstance(value, str) else number_metadata(value)
        for name, value in preview.numbers.items()
    }
    if preview.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in preview.notes))
    pictures = preview.more if preview.picture is None else {"picture": preview.picture, **preview.more}
    for name, picture in pictures.items():
        metadata[name] = picture_metadata(picture, folder, name, _INLINE_BYTES // len(pictures))
    return metadata


def picture_metadata(
    picture: np.ndarray, folder: Path | None, what: str = "picture", limit: int = _INLINE_BYTES
) -> dg.MetadataValue:
    """Write a picture, RGB uint8 (H, W, 3), to a folder, and make a small one that Dagster shows inline.

    Args:
        folder: None writes no file.
        limit: Most bytes of the small one.
    """
    small = (data_uri(picture, limit, width) for width in _WIDTHS)
    shown = next((uri for uri in small if len(uri) <= limit), None)
    image = f"![{what}]({shown})\n\n" if shown else ""
    if folder is None:
        return dg.MetadataValue.md(image or f"{what}: too large for the event log")
    file = folder / f"{slug(what)}.jpg"
    write_picture(picture, file)
    return dg.MetadataValue.md(f"{image}full size: `{file}`")


def number_metadata(value: float) -> dg.MetadataValue:
    """A whole number as it is, any other to six significant digits."""
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    return dg.MetadataValue.float(float(f"{value:.6g}"))
