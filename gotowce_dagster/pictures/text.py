"""Text in pictures: an anti-aliased font that knows more than ASCII, and lines cut to fit."""

from functools import cache

from PIL import ImageFont

from gotowce_dagster.core.fonts import font_path


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font, ``size`` pixels high."""
    return ImageFont.truetype(font_path(), size)


def fit(line: str, size: int, width: float) -> str:
    """Cut one line to ``width`` pixels, with an ellipsis where something was cut."""
    line = " ".join(line.split())
    face = font(size)
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"
