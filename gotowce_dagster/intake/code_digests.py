"""Which source files each stage runs, with their digests: data/code/STAGE.txt, which DVC watches.

One file a stage, in the format of ``md5sum``, instead of dozens of dependencies: DVC takes milliseconds for
each dependency of each stage of each video. In a project with the source code, the stage ``code`` of
code/dvc.yaml writes them, so `dvc repro` itself brings them up to date. In any other they are in git and
belong to the version of the package that the project was made with; only `gotowce upgrade` writes them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import gotowce_dagster
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import BusyError, InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.intake.code_graph import EXEMPT, PACKAGE, CodeGraph
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import CODE, LOCK, PIPELINE, address
from gotowce_dagster.stages.table import STAGES

_MODULES = f"{PACKAGE}.stages"


@dataclass(frozen=True)
class Change:
    """What differs between the list of a stage and the code."""

    files: int
    """Number of source files that the stage runs now."""
    added: list[str]
    removed: list[str]
    changed: list[str]


def has_source(paths: Paths) -> bool:
    """Whether the package's source code is part of the project."""
    return (paths.root / PACKAGE).is_dir()


def listings(paths: Paths) -> dict[str, str]:
    """The list of each stage as the code is now: that of the project, else of the installed package.

    Computed again only where a file of the package changed.

    Raises:
        InputError: A module is no valid Python.
    """
    source, known = _source(paths), paths.work(CODE) / "lists.json"
    # A copy of a project runs the same code; one without source code runs that of a package elsewhere.
    state = f"{'' if has_source(paths) else source} {_state(source)}"
    try:
        kept = json.loads(known.read_text(encoding="utf-8"))
        if kept["state"] == state:
            return kept["lists"]
    except (FileNotFoundError, ValueError, KeyError):
        pass  # not computed yet
    graph = CodeGraph(source, EXEMPT)
    lists = {stage: _listing(source, graph.reached(f"{_MODULES}.{stage}")) for stage in STAGES}
    with fresh_file(known) as new:
        new.write_text(json.dumps({"state": state, "lists": lists}), encoding="utf-8")
    return lists


def outdated(paths: Paths) -> dict[str, Change]:
    """The stages whose list in data/code is not that of the code, with the difference.

    Raises:
        InputError: As in listings.
    """
    return {
        stage: change_of(before, text)
        for stage, text in listings(paths).items()
        if (before := _written(paths, stage)) != text
    }


def change_of(before: str, after: str) -> Change:
    """Compare two lists of one stage."""
    old, new = _digests(before), _digests(after)
    return Change(
        files=len(new),
        added=sorted(set(new) - set(old)),
        removed=sorted(set(old) - set(new)),
        changed=sorted(name for name in set(new) & set(old) if new[name] != old[name]),
    )


def write(paths: Paths) -> dict[str, Change]:
    """Write the lists that are not those of the code; returns what changed, by stage.

    Raises:
        InputError: As in listings.
    """
    lists, changes = listings(paths), outdated(paths)
    for stage in changes:
        with fresh_file(paths.code(stage)) as new:
            new.write_text(lists[stage], encoding="utf-8")
    return changes


def refresh(paths: Paths) -> None:
    """Make sure that data/code lists the code that would run now, before anything asks what is current.

    Where the source code is part of the project, write the lists and record them in DVC.

    Raises:
        BusyError: The lists are to be written, and a stage of a `dvc repro` runs by them.
        InputError: The installed version of the package runs other code than the project was made with, or a
            module is no valid Python.
    """
    if not has_source(paths):
        require(paths)
        return
    state = _state(paths.root)
    recorded, changes = paths.work(CODE) / "recorded", outdated(paths)
    has_pipeline = (paths.root / CODE / PIPELINE).exists() and (paths.root / ".dvc").is_dir()
    is_recorded = (
        not changes
        and recorded.exists()
        and recorded.read_text(encoding="utf-8") == state
        and (paths.root / CODE / LOCK).exists()
    )
    if is_recorded or not (changes or has_pipeline):
        return
    repo = DvcRepo(paths.root)
    if has_pipeline and repo.is_busy([paths.code(CODE).parent]):
        if changes:
            raise BusyError(
                f"data/code: the source code of {', '.join(changes)} changed while a stage runs that was "
                "started before; wait until it is done and run this again"
            )
        return
    write(paths)
    if has_pipeline:
        repo.commit(address(CODE, CODE))
    with fresh_file(recorded) as new:
        new.write_text(state, encoding="utf-8")


def require(paths: Paths, stage: str | None = None) -> None:
    """Check that data/code lists the code that would run now, of one stage or of all.

    Without any list there is nothing to compare, and DVC refuses to run what depends on one.

    Raises:
        InputError: It does not.
    """
    if not paths.code(CODE).parent.is_dir():
        return
    changes = outdated(paths)
    wrong = [name for name in changes if stage in {None, name}]
    if not wrong:
        return
    each = (changes[name] for name in wrong)
    files = sorted({file for change in each for file in (*change.added, *change.removed, *change.changed)})
    what = f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]
    if has_source(paths):
        raise InputError(
            f"data/code: not of the code of {', '.join(wrong)} as it is now ({what}); run "
            "`gotowce sync --code`, and stages with `dvc repro` without --single-item"
        )
    raise InputError(
        f"data/code: version {version('gotowce-dagster')}, which is installed, runs other code in "
        f"{', '.join(wrong)} than this project was made with ({what}); see what would be computed again with "
        "`gotowce upgrade --dry-run`, or install the version before"
    )


def _written(paths: Paths, stage: str) -> str:
    path = paths.code(stage)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _listing(source: Path, files: set[Path]) -> str:
    lines = (f"{_md5(source / file)}  {file.as_posix()}\n" for file in sorted(files))
    return "".join(lines)


def _digests(listing: str) -> Mapping[str, str]:
    """The digest of each file of a list."""
    rows = (line.partition("  ") for line in listing.splitlines())
    return {name: digest for digest, _, name in rows}


def _source(paths: Paths) -> Path:
    """The folder with the package."""
    return paths.root if has_source(paths) else Path(gotowce_dagster.__file__).parents[1]


def _state(source: Path) -> str:
    """Digest of the names, sizes and times of all files of the package."""
    digest = hashlib.md5(usedforsecurity=False)
    for file in sorted((source / PACKAGE).rglob("*")):
        if file.suffix != ".pyc" and file.is_file():
            status = file.stat()
            name = file.relative_to(source).as_posix()
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
