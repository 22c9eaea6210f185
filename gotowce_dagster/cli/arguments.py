"""Parsing of arguments that several commands share."""

from pathlib import Path

from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError


def numbers(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words):
        raise InputError(f"--frames: expected frame numbers from 0, such as 62,187, got {text!r}")
    return [int(word) for word in words]


def known_detectors() -> dict[str, DetectorSettings]:
    """The detectors in the current project's params.yaml; empty outside a project, where only kinds exist."""
    try:
        project = Project.find()
    except InputError:
        return {}
    return project.params.designator_detections.detectors


def video_file(video: str) -> Path:
    """The path of a video given as a file or as the key of an added video."""
    path = Path(video)
    return path if path.exists() and not is_key(video) else Project.find().raw(video)


def is_key(video: str) -> bool:
    """Whether a word is the key of an added video, and no file; a folder may have its name."""
    if Path(video).is_file():
        return False
    try:
        return video in Project.find().videos
    except InputError:
        return False
