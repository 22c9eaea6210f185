"""Projects of earlier versions: one dvc.yaml and one dvc.lock held the stages of all videos, and the studies.

Their entries move to the dvc.lock of each video, and of the studies, as they are, so nothing runs again. An
interrupted migration is finished by the next one.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Video
from gotowce_dagster.core.files import fresh_file, read_text
from gotowce_dagster.intake.dvc_lockfile import stage_keys
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import LOCK, PIPELINE, ROOT, STUDIES, folder_of, write_pipelines
from gotowce_dagster.stages.table import STAGES

_logger = logging.getLogger(__name__)

_OF_VIDEOS = frozenset(name for name, stage in STAGES.items() if stage.per_video)
_STUDIES = frozenset(name for name, stage in STAGES.items() if stage.is_study)
_LIST = "  - data/videos.yaml"


def migrate(paths: Paths, repo: DvcRepo, videos: Mapping[str, Video]) -> None:
    """Give each video, and the studies, a pipeline with all that is recorded of it; changes nothing else.

    Raises:
        InputError: The root's dvc.yaml or the template of the pipelines is missing.
    """
    drop_moved_stages(paths)
    write_pipelines(paths, videos)
    move_entries(paths, repo, videos)


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
