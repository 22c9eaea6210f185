"""Trust in model files: which files a model may be built from.

A YOLO file, or a model folder with its own code, contains more than tensors: its author decides what is
built. So such files are used only if their content is trusted: it is published and listed in weights.py, or
its SHA-256 is in data/trusted_weights.yaml, or git has its digest (a committed dvc.lock or FILE.dvc), or this
project trained it on this machine. Git's content is trusted; DVC's and other people's files are not.

Besides, no pickle is ever read without restriction, trusted or not: see restrict_unpickling.
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
"""Number of trainings whose digests are stored."""

_HEADER = (
    "# What people of this project vouch for, added by `gotowce trust FILE`: models are built from it.\n"
    "# Keep this list in git. Whoever may change it decides which code and models run here.\n"
)


class TrustedFile(BaseModel):
    """One entry of data/trusted_weights.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    """Name at the time; only the digest counts."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file, or of the names and digests of all files of a folder."""
    added: str
    """Date of the entry."""


class _Trusted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    trusted: list[TrustedFile] = []


def restrict_unpickling() -> None:
    """Restrict this process to unpickling tensors and known model classes; call before loading any weights.

    torch.load then refuses everything else, even if a library requests full unpickling
    (TORCH_FORCE_WEIGHTS_ONLY_LOAD), and ultralytics neither unpickles nor evaluates unknown content
    (ULTRALYTICS_SAFE_LOAD).
    """
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
    # These modules read the variable once, on import, which may have happened before.
    for name in ("ultralytics.utils", "ultralytics.nn.tasks"):
        if module := sys.modules.get(name):
            setattr(module, "SAFE_LOAD", True)  # noqa: B010 - unknown to the type of modules


def project_root() -> Path:
    """Find the root of the current project: $GOTOWCE_ROOT or the current folder, or one of their parents."""
    start = Path(os.environ.get("GOTOWCE_ROOT", ".")).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / "params.yaml").exists()), start)


def require_trusted(path: Path, root: Path | None = None) -> None:
    """Refuse an untrusted file or folder.

    Args:
        root: Root of the project; by default the current one.

    Raises:
        InputError: It is not trusted; the message says how to trust it.
    """
    if reason := untrusted(path, root):
        raise InputError(reason)


def untrusted(path: Path, root: Path | None = None) -> str | None:
    """Explain why no model may be built from a file or folder, and what to do; None if it is trusted.

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
        f"{path}: not trusted (SHA-256 {digest[:16]}...), and it contains a whole model, which decides "
        f"what runs; if you trust its author, run `gotowce trust {path}` and commit {TRUSTED}"
    )


def read_trusted(root: Path) -> list[TrustedFile]:
    """Read the list of trusted files.

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
    """Add the digest of a file or folder to the list of trusted files.

    Raises:
        InputError: there is no such file, or the list is malformed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; name the weights to trust")
    trusted = read_trusted(root)
    inside = path.resolve().is_relative_to(root.resolve())
    name = path.resolve().relative_to(root.resolve()).as_posix() if inside else path.name
    entry = TrustedFile(file=name, sha256=content_sha256(path), added=f"{datetime.now(UTC):%Y-%m-%d}")
    if entry.sha256 not in {other.sha256 for other in trusted}:
        content = {"trusted": [one.model_dump() for one in (*trusted, entry)]}
        with fresh_file(root / TRUSTED) as new:
            new.write_text(_HEADER + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return entry


def note_trained(path: Path, root: Path) -> None:
    """Record that this project trained a model on this machine, in a local file outside git and DVC."""
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
    """Whether git's last commit has the digest of the file, or of the DVC output that contains it.

    The dvc.lock on disk does not count: `dvc repro --pull` writes what a remote's run cache claims. DVC's MD5
    does not protect against an author of two files with one digest, but it protects against someone who
    controls the remote only.
    """
    try:
        # The file itself may be a link into DVC's cache; its own path counts.
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
    """Read a YAML file from the last commit; empty without git, without the file, or if it is no mapping."""
    command = ["git", "-C", str(root), "cat-file", "blob", f"HEAD:./{name}"]
    with suppress(OSError, yaml.YAMLError, RecursionError):
        done = subprocess.run(command, capture_output=True, check=False)
        content = yaml.safe_load(done.stdout) if done.returncode == 0 else {}
        return content if isinstance(content, dict) else {}
    return {}


def _md5(path: Path) -> str | None:
    """Compute DVC's digest of a file or a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if not path.is_dir():
        return None
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listed = json.dumps([{"md5": _md5(file), "relpath": name} for name, file in files], sort_keys=True)
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"
