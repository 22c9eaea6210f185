"""Text in pictures: an anti-aliased font with more than ASCII, and lines truncated to fit."""

from functools import cache

from PIL import ImageFont

from gotowce_dagster.core.fonts import font_path


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font, ``size`` pixels high."""
    return ImageFont.truetype(font_path(), size)


def fit(line: str, size: int, width: float) -> str:
    """Truncate a line to ``width`` pixels, with an ellipsis if it is longer."""
    line = " ".join(line.split())
    face = font(size)
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"
