"""Bring a project to the installed version of the package, and say beforehand what that computes again."""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.yaml_files import parse_yaml
from gotowce_dagster.intake import code_digests, shipped
from gotowce_dagster.intake.new_project import original
from gotowce_dagster.intake.unfinished import refuse_unfinished
from gotowce_dagster.intake.videos import sync
from gotowce_dagster.stages.table import STAGES


@dataclass(frozen=True)
class Plan:
    """What an upgrade changes."""

    version: str
    files: dict[str, bytes] = field(repr=False)
    """The new content of each file that changes, yours merged with what is shipped."""
    originals: dict[str, bytes] = field(repr=False)
    """What is shipped now, of every file."""
    reasons: dict[str, list[str]]
    """Why a stage is computed again, for each that is, in the order of the pipeline."""


def plan(paths: Paths, keep_mine: bool = False) -> Plan:
    """Compare a project with the installed version; writes nothing.

    Args:
        keep_mine: Where you and the package changed the same lines, keep yours.

    Raises:
        InputError: It was not made by `gotowce init`, a rename or removal is unfinished, or you and the
            package changed the same lines of a file.
    """
    if code_digests.has_source(paths):
        raise InputError(f"{paths.root}: has the source code; it is brought to another version by `git pull`")
    if not original(paths.root, "params.yaml").exists():
        raise InputError(f"{paths.root}: not made by `gotowce init`, so there is nothing to upgrade")
    refuse_unfinished(paths)
    originals = {name: shipped.content(name) for name in shipped.FILES}
    merged, conflicts = dict[str, bytes](), list[str]()
    for name, theirs in originals.items():
        mine = _read(paths.root / name)
        content = _merged(mine, _read(original(paths.root, name)), theirs, keep_mine)
        if content is None:
            conflicts.append(name)
        elif content != mine:
            merged[name] = content
    if conflicts:
        raise InputError(
            f"{', '.join(conflicts)}: you and the package changed the same lines; nothing was written. Keep "
            "yours with `gotowce upgrade --mine`, or undo your change, upgrade, and make it again"
        )
    return Plan(version("gotowce-dagster"), merged, originals, _reasons(paths, merged))


def upgrade(paths: Paths, planned: Plan) -> list[str]:
    """Write what was planned, then list videos and engines anew; an interrupted call is finished by the next.

    Returns:
        As sync does.

    Raises:
        InputError, PartlyDoneError: As sync does.
    """
    for name, content in planned.files.items():
        (paths.root / name).parent.mkdir(parents=True, exist_ok=True)
        with fresh_file(paths.root / name) as new:
            new.write_bytes(content)
    code_digests.write(paths)
    for name, content in planned.originals.items():
        # The project's own file keeps what was merged into it.
        if content != _read(original(paths.root, name)):
            with fresh_file(original(paths.root, name)) as new:
                new.write_bytes(content)
    return sync(Project(paths))


def _merged(mine: bytes | None, base: bytes | None, theirs: bytes, keep_mine: bool) -> bytes | None:
    """Your file with what changed between two versions of the package; None if both changed one line."""
    if mine is not None and theirs in {mine, base}:
        return mine
    if mine is None or mine == base:
        return theirs
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("mine", "base", "theirs")]
        for place, content in zip(places, (mine, base or b"", theirs), strict=True):
            place.write_bytes(content)
        command = ["git", "merge-file", "-p", *(["--ours"] if keep_mine else []), *map(str, places)]
        done = subprocess.run(command, check=False, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def _reasons(paths: Paths, files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Why each stage is computed again."""
    code, before, after = code_digests.outdated(paths), _Settings(paths), _Settings(paths, files)
    reasons: dict[str, list[str]] = {}
    made: dict[str, str] = {}
    for stage in STAGES:
        why = []
        if change := code.get(stage):
            names = [name.removeprefix("gotowce_dagster/") for name in (*change.changed, *change.added)]
            names += [f"{name.removeprefix('gotowce_dagster/')} (gone)" for name in change.removed]
            why.append(f"code: {', '.join(names)}")
        old, new = before.stages.get(stage, {}), after.stages[stage]
        why += [f"{part} in dvc.yaml" for part in ("cmd", "deps", "outs") if old.get(part) != new.get(part)]
        named = [name for name in new.get("params", ()) if isinstance(name, str)]
        why += [f"params.yaml: {name}" for name in named if before.value(name) != after.value(name)]
        # A folder of all videos stands for its files: data/labels for data/labels/${key}.parquet.
        deps = [f"{dep}/" for dep in new["deps"]]
        upstream = {made[out] for out in made if any(dep.startswith(f"{out}/") for dep in deps)}
        why += [f"if {name} gives another result" for name in reasons if name in upstream]
        if why:
            reasons[stage] = why
        made |= {out.split("/${key}")[0]: stage for out in new["outs"]}
    return reasons


class _Settings:
    """The stages and parameters of a project, with some files replaced."""

    def __init__(self, paths: Paths, files: Mapping[str, bytes] | None = None) -> None:
        def content(name: str) -> dict[str, Any]:
            text = (files or {}).get(name) or _read(paths.root / name) or b""
            return parse_yaml(text.decode(), name) or {}

        self.stages: dict[str, Any] = {}
        for name in ("videos/template.yaml", "dvc.yaml", "studies/dvc.yaml"):
            self.stages |= content(name).get("stages", {})
        self._params = content("params.yaml")

    def value(self, name: str) -> Any:
        """A section, or ``section.value`` in DVC's notation; None if there is none."""
        found: Any = self._params
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
