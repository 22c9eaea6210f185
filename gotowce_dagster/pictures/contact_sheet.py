"""Contact sheets: many small images in one picture, each with a caption."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from gotowce_dagster.pictures import text

_GAP = 6
_PAPER, _TILE, _INK = (24, 26, 30), (12, 13, 15), (235, 235, 235)


def contact_sheet(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4, tile_width: int = 320
) -> np.ndarray:
    """Lay images out in rows, each fitted into a tile of one size without distortion.

    Args:
        images: RGB uint8 (H, W, 3) of any sizes; tiles take the first one's shape, at most square.
        captions: one per image; ``\\n`` starts a new line, and long lines are truncated.
        columns: tiles per row; fewer with fewer images.
        tile_width: pixels.

    Returns:
        RGB uint8 (H, W, 3). Without images, one empty tile with a note.

    Raises:
        ValueError: images and captions differ in number.
    """
    if len(images) != len(captions):
        raise ValueError(f"{len(images)} images but {len(captions)} captions")
    if not images:
        images, captions = [np.zeros((tile_width // 3, tile_width, 3), np.uint8)], ["nothing to show"]
    size = max(11, tile_width // 22)
    line_height = round(size * 1.35)
    lines = max(len(caption.splitlines()) for caption in captions)
    height, width = images[0].shape[:2]
    tile_height = max(1, min(tile_width, round(tile_width * height / width)))
    cell = (tile_width + _GAP, tile_height + lines * line_height + _GAP)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)

    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = _GAP + (number % columns) * cell[0], _GAP + (number // columns) * cell[1]
        tile = ImageOps.pad(Image.fromarray(image), (tile_width, tile_height), color=_TILE)
        sheet.paste(tile, (x, y))
        for row, line in enumerate(caption.splitlines()):
            draw.text(
                (x + 1, y + tile_height + row * line_height),
                text.fit(line, size, tile_width - 2),
                fill=_INK,
                font=text.font(size),
            )
    return np.asarray(sheet)
