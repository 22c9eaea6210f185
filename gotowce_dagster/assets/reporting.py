"""Progress of a running step in Dagster's log, and previews as metadata."""

import time
from collections.abc import Callable

import dagster as dg
import numpy as np

from gotowce_dagster.core.progress import Progress
from gotowce_dagster.pictures.embed import data_uri
from gotowce_dagster.previews.base import Preview

ProgressOf = Callable[[dg.AssetExecutionContext], Progress]
"""The resource `progress`: returns the progress callback of a step."""

_LOG_EVERY_S = 10.0
# Dagster's event log keeps every picture forever, so each one must be small.
_PICTURE_BYTES = 100_000


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


def preview_metadata(preview: Preview) -> dict[str, dg.MetadataValue]:
    """Convert a preview to metadata: numbers, which Dagster plots over time, notes, and inline pictures."""
    metadata: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.text(value) if isinstance(value, str) else _number(value)
        for name, value in preview.numbers.items()
    }
    if preview.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in preview.notes))
    if preview.picture is not None:
        metadata["picture"] = picture_metadata(preview.picture)
    metadata |= {name: picture_metadata(picture, name) for name, picture in preview.more.items()}
    return metadata


def picture_metadata(picture: np.ndarray, what: str = "picture") -> dg.MetadataValue:
    """Convert a picture, RGB uint8 (H, W, 3), to metadata that Dagster shows inline."""
    return dg.MetadataValue.md(f"![{what}]({data_uri(picture, _PICTURE_BYTES)})")


def _number(value: float) -> dg.MetadataValue:
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(value))
