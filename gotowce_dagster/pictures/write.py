"""Writing pictures to disk."""

from pathlib import Path

import numpy as np
from PIL import Image

from gotowce_dagster.core.files import fresh_file


def write_picture(picture: np.ndarray, path: Path, quality: int = 90) -> None:
    """Write RGB or RGBA uint8 (H, W, 3 or 4) as PNG, or RGB as JPEG of that quality, by the suffix.

    The file is written whole or not at all.
    """
    jpeg = path.suffix.lower() in {".jpg", ".jpeg"}
    with fresh_file(path) as new:
        Image.fromarray(picture).save(
            new, format="JPEG" if jpeg else "PNG", **({"quality": quality} if jpeg else {})
        )
