"""Which files a model may be built from.

A YOLO file and a model folder with code of its own hold more than numbers: whoever made them decides what is
built. So they are used only if their content is vouched for: it is published and listed in weights.py, or its
SHA-256 stands in data/trusted_weights.yaml, or git has its digest (a committed dvc.lock or FILE.dvc), or this
project trained it on this machine. Git's content is trusted, DVC's and other people's files are not.

Beyond that, no pickle is ever read without restriction, whoever vouches for it: see restrict_unpickling.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.core import weights
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file

TRUSTED = Path("data", "trusted_weights.yaml")
_TRAINED = Path("data", ".work", "trained_weights.json")
_KEPT = 200
"""Digests of so many trainings are remembered."""

_HEADER = (
    "# What people of this project vouch for, added by `gotowce trust FILE`: models are built from it.\n"
    "# Keep this list in git. Whoever may change it decides which code and models run here.\n"
)


class TrustedFile(BaseModel):
    """One entry of data/trusted_weights.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    """As it was named then; only the digest counts."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the file, or of the names and digests of all files of a folder."""
    added: str
    """The day."""


class _Trusted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    trusted: list[TrustedFile] = []


def restrict_unpickling() -> None:
    """Let this process read pickled weights as tensors and known model classes only; call before loading any.

    torch.load then refuses everything else, also where a library asks for a full unpickling
    (TORCH_FORCE_WEIGHTS_ONLY_LOAD), and ultralytics neither unpickles nor evaluates what it does not know
    (ULTRALYTICS_SAFE_LOAD).
    """
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
    # Read once when they are imported, which may have been before us.
    for name in ("ultralytics.utils", "ultralytics.nn.tasks"):
        if module := sys.modules.get(name):
            setattr(module, "SAFE_LOAD", True)  # noqa: B010 - unknown to the type of modules


def project_root() -> Path:
    """The project that this process works in: $GOTOWCE_ROOT or the current folder, or above it."""
    start = Path(os.environ.get("GOTOWCE_ROOT", ".")).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / "params.yaml").exists()), start)


def require_trusted(path: Path, root: Path | None = None) -> None:
    """Refuse a file or folder that nobody vouches for.

    Args:
        root: of the project; by default the one this process works in.

    Raises:
        InputError: nobody does; the message says how to.
    """
    if reason := untrusted(path, root):
        raise InputError(reason)


def untrusted(path: Path, root: Path | None = None) -> str | None:
    """Why no model may be built from a file or folder, and what to do about it; None if one may.

    Raises:
        InputError: data/trusted_weights.yaml is malformed.
    """
    root = root or project_root()
    digest = content_sha256(path)
    if weights.is_published(path, digest) or digest in _trained(root):
        return None
    if digest in {entry.sha256 for entry in read_trusted(root)} or _is_committed(path, root):
        return None
    return (
        f"{path}: not trusted here (SHA-256 {digest[:16]}...), and it holds a whole model, which decides "
        f"what runs; if you know who made it, run `gotowce trust {path}` and commit {TRUSTED}"
    )


def read_trusted(root: Path) -> list[TrustedFile]:
    """The files that people of a project vouch for.

    Raises:
        InputError: the list is malformed.
    """
    file = root / TRUSTED
    if not file.exists():
        return []
    try:
        return _Trusted.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {}).trusted
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        what = str(error).splitlines()
        raise InputError(
            f"{file}: {' '.join(what[:3])}; expected `trusted:` and under it entries of file, sha256, added"
        ) from None


def add(path: Path, root: Path) -> TrustedFile:
    """Write a file's or folder's digest into the list of trusted ones.

    Raises:
        InputError: there is no such file, or the list is malformed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; name the weights to trust")
    known = read_trusted(root)
    inside = path.resolve().is_relative_to(root.resolve())
    name = path.resolve().relative_to(root.resolve()).as_posix() if inside else path.name
    entry = TrustedFile(file=name, sha256=content_sha256(path), added=f"{datetime.now(UTC):%Y-%m-%d}")
    if entry.sha256 not in {other.sha256 for other in known}:
        content = {"trusted": [one.model_dump() for one in (*known, entry)]}
        with fresh_file(root / TRUSTED) as new:
            new.write_text(_HEADER + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return entry


def note_trained(path: Path, root: Path) -> None:
    """Remember that this project trained a model on this machine: neither in git nor in DVC, never shared."""
    digests = [*_trained(root), content_sha256(path)][-_KEPT:]
    with fresh_file(root / _TRAINED) as new:
        new.write_text(json.dumps(digests), encoding="utf-8")


def _trained(root: Path) -> list[str]:
    try:
        found = json.loads((root / _TRAINED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(digest) for digest in found] if isinstance(found, list) else []


def _is_committed(path: Path, root: Path) -> bool:
    """Whether git's last commit has the digest of the file, or of the DVC output around it.

    Not what dvc.lock says on disk: `dvc repro --pull` writes there what a remote's run cache claims. DVC's
    MD5 is no defence against whoever made two files of one digest, but it is against whoever holds the remote
    alone.
    """
    try:
        # The file itself may be a link into DVC's cache; where it stands counts.
        place = (path.absolute().parent.resolve() / path.name).relative_to(root.resolve())
    except ValueError:
        return False
    recorded = [
        (around.parent / out, md5)
        for around in (place, *list(place.parents)[:-1])
        for out, md5 in _outputs(_yaml_of_commit(root, f"{around.as_posix()}.dvc"))
    ]
    stages = _yaml_of_commit(root, "dvc.lock").get("stages")
    for stage in stages.values() if isinstance(stages, dict) else []:
        recorded += [(Path(out), md5) for out, md5 in _outputs(stage)]
    return any(place.is_relative_to(out) and _md5(root / out) == md5 for out, md5 in recorded)


def _outputs(stage: Any) -> Iterator[tuple[str, str]]:
    outs = stage.get("outs") if isinstance(stage, dict) else None
    for out in outs if isinstance(outs, list) else []:
        if isinstance(out, dict) and isinstance(out.get("path"), str) and isinstance(out.get("md5"), str):
            yield out["path"], out["md5"]


def _yaml_of_commit(root: Path, name: str) -> dict[str, Any]:
    """A YAML file as the last commit has it; empty without git, without the file or with another content."""
    command = ["git", "-C", str(root), "cat-file", "blob", f"HEAD:./{name}"]
    with suppress(OSError, yaml.YAMLError, RecursionError):
        done = subprocess.run(command, capture_output=True, check=False)
        content = yaml.safe_load(done.stdout) if done.returncode == 0 else {}
        return content if isinstance(content, dict) else {}
    return {}


def _md5(path: Path) -> str | None:
    """The digest that DVC gives a file or a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if not path.is_dir():
        return None
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listed = json.dumps([{"md5": _md5(file), "relpath": name} for name, file in files], sort_keys=True)
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"
