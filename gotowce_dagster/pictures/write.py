"""Writing pictures to disk."""

from pathlib import Path

import numpy as np
from PIL import Image

from gotowce_dagster.core.files import fresh_file


def write_picture(picture: np.ndarray, path: Path) -> None:
    """Write RGB uint8 (H, W, 3) as PNG, or as JPEG by the suffix; the file is written whole or not at all."""
    jpeg = path.suffix.lower() in {".jpg", ".jpeg"}
    with fresh_file(path) as new:
        Image.fromarray(picture).save(
            new, format="JPEG" if jpeg else "PNG", **({"quality": 90} if jpeg else {})
        )
