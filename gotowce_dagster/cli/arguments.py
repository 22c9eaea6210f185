"""Meaning of the arguments that several commands take."""

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
    """Those of the project around; none outside of one, where kinds are known all the same."""
    try:
        project = Project.find()
    except InputError:
        return {}
    return project.params.designator_detections.detectors


def video_file(video: str) -> Path:
    """A file as it is named, or the file of a video's key."""
    return Path(video) if Path(video).exists() else Project.find().raw(video)
