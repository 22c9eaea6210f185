"""Changing one number in params.yaml, and nothing else of it: its comments are its documentation."""

from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file, read_text


def set_number(path: Path, keys: Sequence[str], value: int) -> None:
    """Replace a number in a YAML file.

    Args:
        keys: the way to it, from the outermost section.

    Raises:
        InputError: the file has no such number.
    """
    text = read_text(path)
    section = YAML(typ="rt").load(text)
    for key in keys[:-1]:
        section = section.get(key) if isinstance(section, CommentedMap) else None
    old = section.get(keys[-1]) if isinstance(section, CommentedMap) else None
    if not isinstance(section, CommentedMap) or not isinstance(old, int):
        raise InputError(f"{path}: no number at {'.'.join(keys)}")
    if old == value:
        return
    line, column = section.lc.value(keys[-1])
    lines = text.splitlines(keepends=True)
    before, after = lines[line][:column], lines[line][column:]
    lines[line] = before + after.replace(str(old), str(value), 1)
    with fresh_file(path) as new:
        new.write_text("".join(lines), encoding="utf-8")
