"""The font of all captions."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def font_path() -> Path:
    """DejaVu Sans from matplotlib's files, without importing matplotlib."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("matplotlib, whose font the captions use, is not installed")
    return Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
