"""A project of one drawn video, taken through the pipeline up to its labels."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.designators.profile import Profile, write_profile
from gotowce_dagster.stages import cleaned_labels, designator_detections, extracted_frames, masks
from tests.conftest import ROOT
from tests.support.synthetic import Scene, write_scene


def drawn_project(
    root: Path,
    scene: Scene,
    profile: Profile,
    engines: Mapping[str, str],
    mode: str,
    **propagation: Any,
) -> Project:
    """Write a project with the video ``drawn`` and run the stages of a video on 4 frames a second.

    Args:
        engines: content of data/engines.yaml.
        mode: of the stage masks, image or video.
        propagation: changed values of ``masks.propagation``.
    """
    paths = Paths(root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["extracted_frames"]["fps"] = 4
    params["masks"]["mode"] = mode
    params["masks"]["propagation"] |= propagation
    for folder in (paths.raw, paths.profiles, paths.points("none").parent):
        folder.mkdir(parents=True)
    paths.params.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    paths.videos.write_text("videos:\n  drawn: {file: drawn.mp4, profile: drawn}\n", encoding="utf-8")
    paths.engines.write_text(yaml.safe_dump(dict(engines)), encoding="utf-8")
    shutil.copy(ROOT / "data/points/none.csv", paths.points("none"))
    write_profile(profile, paths.profile("drawn"))
    write_scene(paths.raw / "drawn.mp4", scene, crf=16)
    project = Project(paths)
    for stage in (extracted_frames, designator_detections, masks, cleaned_labels):
        stage.run(project, "drawn")
    return project
