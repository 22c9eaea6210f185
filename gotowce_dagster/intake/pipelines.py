"""The pipelines of a project: its own, in the root, that of its studies, and one for each video, in
videos/VIDEO.

DVC parses a whole dvc.yaml and dvc.lock whatever it is asked about one stage. So every video has its own
small ones, and work on one video costs the same beside ten and beside ten thousand others. All copies of
dvc.yaml are equal; what differs by video is in video.yaml. The studies have theirs because `dvc repro` runs
all of dvc.yaml in the root, and a study runs only when asked for.
"""

from collections.abc import Mapping
from pathlib import Path

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Video
from gotowce_dagster.core.files import fresh_file, read_text
from gotowce_dagster.core.yaml_files import dump_yaml
from gotowce_dagster.stages.table import STAGES

LOCK, PIPELINE, SETTINGS = "dvc.lock", "dvc.yaml", "video.yaml"
ROOT, STUDIES = ".", "studies"
"""The folders of the project's own pipeline and of its studies; that of a video is videos/VIDEO."""
CODE = "code"
"""The folder of the pipeline that lists source files, where a project has the source code; and its stage."""

_HEADER = "# Written by `gotowce add` and `gotowce sync` from data/videos.yaml; do not edit.\n"


def stage_name(stage: str, video: str | None) -> str:
    """The name of a video's stage for people: ``masks@duel``."""
    return stage if video is None else f"{stage}@{video}"


def stage_address(stage: str, video: str | None) -> str:
    """The name by which DVC knows a stage in the root: ``videos/duel/dvc.yaml:masks``, ``evaluation``."""
    if video is not None:
        return address(folder_of(video), stage)
    is_study = stage in STAGES and STAGES[stage].is_study
    return address(STUDIES, stage) if is_study else stage


def address(folder: str, stage: str) -> str:
    """DVC's name of a stage of the pipeline in a folder."""
    return stage if folder == ROOT else f"{folder}/{PIPELINE}:{stage}"


def split_address(name: str) -> tuple[str, str]:
    """The folder of a stage's pipeline and the stage's name there, from its address."""
    file, _, stage = name.rpartition(":")
    return (file.removesuffix(f"/{PIPELINE}"), stage) if file else (ROOT, stage)


def folder_of(video: str) -> str:
    """The folder of a video's pipeline below the root."""
    return f"videos/{video}"


def folders_with_lock(root: Path) -> list[str]:
    """The folders of pipelines with a dvc.lock, or that had one when it was last read; the root is first."""
    paths = Paths(root)
    locks = paths.pipelines.glob(f"*/{LOCK}")
    copies = paths.kept_lock(paths.pipelines.name).parent.glob(f"*/{LOCK}.good")
    found = {folder_of(path.parent.name) for path in (*locks, *copies)}
    for folder in (CODE, STUDIES):
        if (root / folder / LOCK).exists() or paths.kept_lock(folder).exists():
            found.add(folder)
    return [ROOT, *sorted(found)]


def write_pipelines(paths: Paths, videos: Mapping[str, Video]) -> None:
    """Write the dvc.yaml and video.yaml of every video, where their content changes.

    Raises:
        InputError: The template of the pipelines is missing.
    """
    text = template_text(paths)
    for key, video in videos.items():
        settings = {"key": key, "file": video.file, "profile": video.profile, "points": video.points}
        _write(paths.pipeline(key) / SETTINGS, _HEADER + dump_yaml(settings))
        # Last, because DVC takes the folder for a pipeline as soon as this file exists.
        _write(paths.pipeline(key) / PIPELINE, text)


def template_text(paths: Paths) -> str:
    """The text of every video's dvc.yaml.

    Raises:
        InputError: It is missing.
    """
    return read_text(paths.template, "restore it with `git checkout videos/template.yaml`")


def unknown_pipelines(paths: Paths, videos: Mapping[str, Video]) -> list[str]:
    """The videos that have a pipeline but are not listed, sorted."""
    return sorted(
        path.parent.name for path in paths.pipelines.glob(f"*/{PIPELINE}") if path.parent.name not in videos
    )


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_bytes() != text.encode():
        with fresh_file(path) as new:
            new.write_text(text, encoding="utf-8")
