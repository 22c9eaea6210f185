"""Text in pictures: an anti-aliased font that knows more than ASCII, and lines cut to fit."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont


@cache
def font_path() -> Path:
    """DejaVu Sans as matplotlib ships it, found without importing matplotlib."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("matplotlib, whose font the captions use, is not installed")
    return Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"


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
