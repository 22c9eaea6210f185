"""Parser of dvc.lock that detects truncated files.

DVC writes the file in place and appends new entries, so a kill or a full disk leaves only its beginning. If
truncated between two lines it may still be valid YAML, with stages missing or the last one incomplete.
"""

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML, YAMLError

from gotowce_dagster.core.errors import InputError

Entries = dict[str, Any]

_SCHEMA = "2.0"
# A long name is written as "? NAME", with its entry after ":" on the next line.
_STAGE_LINE = re.compile(r"^  ([^\s:].*)$", re.MULTILINE)
_CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
_DIGESTS = ("md5", "etag", "checksum")


class CutShortError(ValueError):
    """A truncated dvc.lock."""


@functools.lru_cache(maxsize=1)
def read_lock(text: str, without_outs: frozenset[str] = frozenset()) -> Entries:
    """Parse a dvc.lock: the entry of each stage, by name. Do not modify the result, because it is cached.

    Args:
        without_outs: Stages of dvc.yaml that have no outputs, without ``@VIDEO``.

    Raises:
        CutShortError: The text is truncated. A cut exactly between two stages is not detected here.
        InputError: It has git's merge conflict markers.
    """
    if _CONFLICT.search(text):
        raise InputError(
            "dvc.lock: has git's conflict markers; resolve the merge, or take one side with "
            "`git checkout --ours dvc.lock`, and run `dvc repro`"
        )
    entries = _parse(text)
    if entries is None:
        raise CutShortError("not valid YAML of a dvc.lock")
    for name, entry in entries.items():
        if not isinstance(entry, dict) or "cmd" not in entry:
            raise CutShortError(f"{name}: no command")
    if entries:
        last = next(reversed(entries))
        complete = last.partition("@")[0] in without_outs or _is_complete(entries[last])
        if not (complete and text.endswith("\n")):
            raise CutShortError(f"{last}: incomplete")
    return entries


def complete_entries(text: str) -> Entries:
    """Parse the complete entries of a truncated dvc.lock: all but the last.

    They are the newest entries, because DVC rewrites the whole file.
    """
    starts = [match.start() for match in _STAGE_LINE.finditer(text)]
    entries = (_parse(text[: starts[-1]]) or {}) if starts else {}
    return {name: entry for name, entry in entries.items() if isinstance(entry, dict) and "cmd" in entry}


def stage_keys(text: str) -> list[str]:
    """List the stages of a dvc.lock in order, as written in the text; much faster than parsing it."""
    return [line.rstrip().removesuffix(":") for line in _STAGE_LINE.findall(text)]


def merge_entries(cut: Mapping[str, Any], good: Mapping[str, Any]) -> Entries:
    """Merge entries in the order of the good copy, with newer ones of the truncated file."""
    return {**{name: cut.get(name, entry) for name, entry in good.items()}, **cut}


def _parse(text: str) -> Entries | None:
    try:
        content = YAML(typ="safe").load(text)
    except (YAMLError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        return None
    stages = content.get("stages")
    return stages if isinstance(stages, dict) else None


def _is_complete(entry: Entries) -> bool:
    """Whether an entry is complete, that is, its outputs, which come last, have all fields."""
    outs = entry.get("outs")
    return isinstance(outs, list) and bool(outs) and all(_is_complete_output(out) for out in outs)


def _is_complete_output(out: Any) -> bool:
    if not isinstance(out, dict):
        return False
    digest = next((str(out[name]) for name in _DIGESTS if name in out), "")
    return bool(digest) and "size" in out and ("nfiles" in out or not digest.endswith(".dir"))


def output_digest(entry: dict[str, Any]) -> str:
    """The digest of a lock entry's only output, as returned by commit."""
    (output,) = entry["outs"]
    return output["md5"]


def fingerprint(entry: dict[str, Any]) -> str:
    """Digest of a whole lock entry, which changes with the inputs even if the output does not."""
    return hashlib.md5(json.dumps(entry, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
