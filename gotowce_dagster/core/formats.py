"""Whether a file has the form that its name promises: a page of HTML or half a download never does."""

import json
import struct
import zipfile
from pathlib import Path

_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")
_HEADER_LIMIT = 100_000_000
"""Bytes that the header of a safetensors file may take at most; the format's own limit."""


def fault(path: Path, suffix: str | None = None) -> str | None:
    """Why a file's content cannot match its suffix, or None.

    Checks the container and its length, not the numbers inside: .pt, .pth and .bin are zip archives with an
    intact directory at their end, .safetensors ends where its header says, .json parses.

    Args:
        suffix: as which it is judged; its own by default.
    """
    size = path.stat().st_size
    if not size:
        return "the file is empty"
    with path.open("rb") as file:
        start = file.read(512)
    if start.lstrip().lower().startswith(_HTML):
        return "it is a web page, not weights"
    match path.suffix if suffix is None else suffix:
        case ".pt" | ".pth" | ".bin":
            return None if zipfile.is_zipfile(path) else "it is no PyTorch archive, or cut short"
        case ".safetensors":
            return _safetensors_fault(path, size)
        case ".json":
            return _json_fault(path)
    return None


def _safetensors_fault(path: Path, size: int) -> str | None:
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(_HEADER_LIMIT, size):
            return "it is no safetensors file, or cut short"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return "it is no safetensors file, or cut short"
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"it has {size} bytes, its header says {expected}"


def _json_fault(path: Path) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return "it is no JSON, or cut short"
    return None
