"""Projects of versions before, which compute nothing again. The next migration finishes an interrupted one.

One dvc.yaml and one dvc.lock held the stages of all videos, and the studies: their entries move to the
dvc.lock of each video, and of the studies. Each stage depended on every source file that it runs: what was
current depends on data/code now.
"""

import hashlib
import json
import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Video
from gotowce_dagster.core.files import fresh_file, read_text
from gotowce_dagster.intake.code_digests import write
from gotowce_dagster.intake.code_graph import PACKAGE
from gotowce_dagster.intake.dvc_lockfile import stage_keys
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import (
    CODE,
    LOCK,
    PIPELINE,
    ROOT,
    STUDIES,
    folder_of,
    folders_with_lock,
    write_pipelines,
)
from gotowce_dagster.stages.table import STAGES

_logger = logging.getLogger(__name__)

_OF_VIDEOS = frozenset(name for name, stage in STAGES.items() if stage.per_video)
_STUDIES = frozenset(name for name, stage in STAGES.items() if stage.is_study)
_SOURCE_FILE = re.compile(rf"(\s+- ){PACKAGE}/")
_LIST = "  - data/videos.yaml"


def migrate(paths: Paths, repo: DvcRepo, videos: Mapping[str, Video]) -> None:
    """Give each video, and the studies, a pipeline with all that is recorded of it; does nothing where it has
    that already.

    Raises:
        InputError: The dvc.yaml of the root or of the studies, or the template of the pipelines, is missing.
    """
    drop_moved_stages(paths)
    depend_on_lists(paths)
    write_pipelines(paths, videos)
    move_entries(paths, repo, videos)
    replace_source_files(paths, repo)


def drop_moved_stages(paths: Paths) -> None:
    """Take the stages of all videos, and the studies, out of the root's dvc.yaml: other pipelines have them
    now.

    To be done before the videos get theirs: DVC refuses an output that two stages make.

    Raises:
        InputError: The file is missing.
    """
    path = paths.root / PIPELINE
    text = read_text(path, "restore it with `git checkout dvc.yaml`")
    if (new := without_moved_stages(text)) != text:
        with fresh_file(path) as file:
            file.write_text(new, encoding="utf-8")
        _logger.warning(
            "%s: the stages of each video are in videos/VIDEO/dvc.yaml now, studies in studies/dvc.yaml, "
            "and left this file; commit all",
            path,
        )


def without_moved_stages(text: str) -> str:
    """The root's dvc.yaml without studies and stages ``foreach`` video; all else stays, comments too."""
    kept, comments = list[str](), list[str]()
    for block in re.split(r"(?m)^(?=\S|  \S)", text):
        if block.startswith("  #"):
            comments.append(block)
            continue
        # Comments above a stage go with it.
        kept += [] if _is_moved(block) else [*comments, block]
        comments = []
    rest = "".join([*kept, *comments])
    if rest == text or "${" in rest:
        return rest
    # The list of videos served the stages that went.
    return re.sub(rf"(?m)^vars:\n{_LIST}\n\n*(?=\S)|^{_LIST}\n", "", rest)


def depend_on_lists(paths: Paths) -> None:
    """Let stages of every dvc.yaml in git depend on data/code instead of source files.

    Raises:
        InputError: One of them is missing.
    """
    for path in (paths.root / PIPELINE, paths.template, paths.studies_pipeline):
        name = path.relative_to(paths.root)
        text = read_text(path, f"restore it with `git checkout {name}`, or `gotowce upgrade` if git has none")
        if (new := without_source_files(text)) != text:
            with fresh_file(path) as file:
                file.write_text(new, encoding="utf-8")
            _logger.warning("%s: its stages depend on the lists in data/code now; commit it", path)


def without_source_files(text: str) -> str:
    """A dvc.yaml whose stages depend on data/code/STAGE.txt instead of source files; all else stays."""
    lines, stage = list[str](), ""
    for line in text.splitlines(keepends=True):
        if found := re.match(r"  (\w+):\s*$", line):
            stage = found[1]
        if found := _SOURCE_FILE.match(line):
            listed = f"{found[1]}data/code/{stage}.txt\n"
            lines += [] if listed in lines else [listed]
        else:
            lines.append(line)
    return "".join(lines)


def replace_source_files(paths: Paths, repo: DvcRepo) -> None:
    """Record the list of a stage instead of its source files, in every dvc.lock.

    Only where they are as recorded: what was stale stays stale, because it records no list.
    """
    digests: dict[str, str | None] = {}
    for folder in folders_with_lock(paths.root):
        path = paths.root / folder / LOCK
        if folder == CODE or not path.exists() or f"path: {PACKAGE}/" not in path.read_text(encoding="utf-8"):
            continue
        write(paths)
        new = {}
        for stage, entry in repo.entries_in(folder).items():
            code, rest = list[dict[str, Any]](), list[dict[str, Any]]()
            for dep in entry.get("deps", ()):
                (code if dep["path"].startswith(f"{PACKAGE}/") else rest).append(dep)
            for dep in code:
                if dep["path"] not in digests:
                    digests[dep["path"]] = _dvc_digest(paths.root / dep["path"])
            if code and stage in STAGES and all(digests[dep["path"]] == dep["md5"] for dep in code):
                listed = paths.code(stage)
                rest.append(
                    {
                        "path": listed.relative_to(paths.root).as_posix(),
                        "hash": "md5",
                        "md5": _dvc_digest(listed),
                        "size": listed.stat().st_size,
                    }
                )
            if code:
                new[stage] = entry | {"deps": sorted(rest, key=lambda dep: dep["path"])}
        repo.replace_entries(folder, [], new)


def _dvc_digest(path: Path) -> str | None:
    """The digest that DVC records of a file or a folder; None if it does not exist."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if not path.is_dir():
        return None
    files = (file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc")
    tree = [{"md5": _dvc_digest(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    text = json.dumps(sorted(tree, key=lambda entry: str(entry["relpath"])), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def move_entries(paths: Paths, repo: DvcRepo, videos: Collection[str]) -> None:
    """Move what the root's dvc.lock records of videos and studies to the dvc.lock of each.

    What such a dvc.lock has already is newer and stays.
    """
    path = paths.root / LOCK
    if not path.exists() or not any(map(_may_move, stage_keys(path.read_text(encoding="utf-8")))):
        return
    moved, gone = defaultdict[str, dict[str, Any]](dict), list[str]()
    for name, entry in repo.entries_in(ROOT).items():
        stage, _, video = name.partition("@")
        if (stage in _OF_VIDEOS and video in videos) or name in _STUDIES:
            moved[folder_of(video) if video else STUDIES][stage] = entry
            gone.append(name)
    for folder, entries in moved.items():
        newer = repo.entries_in(folder)
        repo.replace_entries(folder, [], {k: e for k, e in entries.items() if k not in newer})
    if moved:
        repo.replace_entries(ROOT, gone, {})
        if of_videos := len(moved.keys() - {STUDIES}):
            _logger.warning(
                "dvc.lock: what it recorded of %d videos is in videos/VIDEO/dvc.lock now; commit both",
                of_videos,
            )
        if STUDIES in moved:
            _logger.warning("dvc.lock: what it recorded of studies is in studies/dvc.lock now; commit both")


def _may_move(name: str) -> bool:
    return "@" in name or name in _STUDIES


def _is_moved(block: str) -> bool:
    first, _, rest = block.partition("\n")
    name = first.strip().removesuffix(":")
    is_of_videos = name in _OF_VIDEOS and rest.lstrip().startswith("foreach:")
    return first.startswith("  ") and (is_of_videos or name in _STUDIES)
