"""The key of a video: its name in files, tables, DVC and Dagster."""

import re
from pathlib import PurePath

from slugify import slugify

from gotowce_dagster.core.yaml_files import reads_as_text

LONGEST = 100
"""Maximum length of a key: with suffixes and temporary extensions it must fit a file system's 255 bytes."""

_SUFFIX = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,5}", re.IGNORECASE)
"""A file suffix: ``.mp4``, but not the end of ``v1.2`` or of ``Round 1. Boss``."""
_NO_KINDS = frozenset({".dvc", ".new", ".tmp"})
"""Suffixes used by DVC and this package, which a video must not have."""
_RESERVED = frozenset({"none"})
"""Names of the profile and the points file of videos without their own."""


def key_and_suffix(name: str) -> tuple[str, str]:
    """Split a file name into the key of the video and its suffix, lower case, which may be empty."""
    suffix = PurePath(name).suffix
    if not _SUFFIX.fullmatch(suffix) or suffix.lower() in _NO_KINDS:
        return slug(name), ""
    return slug(name.removesuffix(suffix)), suffix.lower()


def slug(stem: str) -> str:
    """Make a clean name: at most 100 lower case letters, digits and underscores, which every YAML parser
    reads as text: ``08`` becomes ``v_08``.
    """
    key = slugify(stem, separator="_", max_length=LONGEST).strip("_") or "video"
    return key if reads_as_text(key) and key not in _RESERVED else f"v_{key}"
