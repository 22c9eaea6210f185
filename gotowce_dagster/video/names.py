"""The key of a video: the name that files, tables, DVC and Dagster know it by."""

import re
from pathlib import PurePath

from slugify import slugify

from gotowce_dagster.core.yaml_files import reads_as_text

LONGEST = 100
"""Letters of a key: with suffixes and a temporary name's extras it must fit any file system's 255 bytes."""

_SUFFIX = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,5}", re.IGNORECASE)
"""What ends the name of a file as its kind: ``.mp4``, but not the end of ``v1.2`` or of ``Round 1. Boss``."""
_NO_KINDS = frozenset({".dvc", ".new", ".tmp"})
"""Endings that files of DVC and of this package have, which a video must not have."""
_RESERVED = frozenset({"none"})
"""A profile and a file of points for whatever has none of its own."""


def key_and_suffix(name: str) -> tuple[str, str]:
    """Split the name of a file into the key it should get and its suffix, lower case, which may be empty."""
    suffix = PurePath(name).suffix
    if not _SUFFIX.fullmatch(suffix) or suffix.lower() in _NO_KINDS:
        return slug(name), ""
    return slug(name.removesuffix(suffix)), suffix.lower()


def slug(stem: str) -> str:
    """A clean name: lower case letters, digits and underscores, at most 100, which no YAML parser takes for
    something else than text: ``08`` becomes ``v_08``.
    """
    key = slugify(stem, separator="_", max_length=LONGEST).strip("_") or "video"
    return key if reads_as_text(key) and key not in _RESERVED else f"v_{key}"
