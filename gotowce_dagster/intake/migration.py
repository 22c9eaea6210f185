"""Projects of the version before: one dvc.yaml and one dvc.lock held the stages of all videos.

Their entries move to the dvc.lock of each video as they are, so nothing runs again. An interrupted migration
is finished by the next one.
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
from gotowce_dagster.intake.pipelines import LOCK, PIPELINE, ROOT, folder_of, write_pipelines
from gotowce_dagster.stages.table import STAGES

_logger = logging.getLogger(__name__)

_OF_VIDEOS = frozenset(name for name, stage in STAGES.items() if stage.per_video)
_LIST = "  - data/videos.yaml"


def migrate(paths: Paths, repo: DvcRepo, videos: Mapping[str, Video]) -> None:
    """Give each video a pipeline with all that is recorded of it; does nothing where it has that already.

    Raises:
        InputError: The root's dvc.yaml or the template of the pipelines is missing.
    """
    drop_stages_of_videos(paths)
    write_pipelines(paths, videos)
    move_entries(paths, repo, videos)


def drop_stages_of_videos(paths: Paths) -> None:
    """Take the stages of all videos out of the root's dvc.yaml, because each video has them now.

    To be done before the videos get theirs: DVC refuses an output that two stages make.

    Raises:
        InputError: The file is missing.
    """
    path = paths.root / PIPELINE
    text = read_text(path, "restore it with `git checkout dvc.yaml`")
    if (new := without_stages_of_videos(text)) != text:
        with fresh_file(path) as file:
            file.write_text(new, encoding="utf-8")
        _logger.warning(
            "%s: the stages of each video are in videos/VIDEO/dvc.yaml now and left this file; commit both",
            path,
        )


def without_stages_of_videos(text: str) -> str:
    """The root's dvc.yaml without stages that run ``foreach`` video; all else stays, comments too."""
    kept, comments = list[str](), list[str]()
    for block in re.split(r"(?m)^(?=\S|  \S)", text):
        if block.startswith("  #"):
            comments.append(block)
            continue
        # Comments above a stage go with it.
        kept += [] if _is_of_videos(block) else [*comments, block]
        comments = []
    rest = "".join([*kept, *comments])
    if rest == text or "${" in rest:
        return rest
    # The list of videos served the stages that went.
    return re.sub(rf"(?m)^vars:\n{_LIST}\n\n*(?=\S)|^{_LIST}\n", "", rest)


def move_entries(paths: Paths, repo: DvcRepo, videos: Collection[str]) -> None:
    """Move what the root's dvc.lock records of videos to the dvc.lock of each.

    What a video's dvc.lock has already is newer and stays.
    """
    path = paths.root / LOCK
    if not path.exists() or not any("@" in key for key in stage_keys(path.read_text(encoding="utf-8"))):
        return
    moved = defaultdict[str, dict[str, Any]](dict)
    for name, entry in repo.entries_in(ROOT).items():
        stage, _, video = name.partition("@")
        if stage in _OF_VIDEOS and video in videos:
            moved[video][stage] = entry
    for video, entries in moved.items():
        newer = repo.entries_in(folder_of(video))
        repo.replace_entries(folder_of(video), [], {k: e for k, e in entries.items() if k not in newer})
    if moved:
        repo.replace_entries(ROOT, [f"{k}@{video}" for video, entries in moved.items() for k in entries], {})
        _logger.warning(
            "dvc.lock: what it recorded of %d videos is in videos/VIDEO/dvc.lock now; commit both", len(moved)
        )


def _is_of_videos(block: str) -> bool:
    first, _, rest = block.partition("\n")
    name = first.strip().removesuffix(":")
    return first.startswith("  ") and name in _OF_VIDEOS and rest.lstrip().startswith("foreach:")
