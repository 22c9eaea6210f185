"""Diagnosis: what can run on this machine, and why anything else cannot."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from gotowce_dagster.config.engines import every_engine, obstacle, preferences, unknown
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import weights
from gotowce_dagster.core.device import best_device, half_precision
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.sources import not_pulled, tracked_files
from gotowce_dagster.detectors import registry
from gotowce_dagster.review.connection import connect, find

_CODECS = ("h264", "hevc", "vp9", "av1")
_LOW_DISK_GB = 10


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    what: str
    ok: bool
    says: str


def diagnose(project: Project) -> Iterator[Finding]:
    """Check everything the pipeline needs; yields one finding at a time."""
    yield Finding("python", True, platform.python_version())
    yield _device()
    yield _codecs()
    yield _sources(project)
    yield from _engines(project)
    yield from _detectors(project)
    yield from (_weights(name) for name in weights.WEIGHTS)
    yield _label_studio(project)
    yield _disk(project)


def _device() -> Finding:
    import torch

    device = best_device()
    precision = "SAM 2 in bfloat16" if half_precision(device) else "all in float32"
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        says = f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}, {precision}"
    elif device == "mps":
        says = f"Apple GPU (MPS), {precision}"
    else:
        says = f"CPU with {os.cpu_count()} cores, {precision}; a GPU would be 10 to 50 times faster"
    return Finding("device", True, says)


def _codecs() -> Finding:
    import av.codec

    missing = [name for name in _CODECS if name not in av.codec.codecs_available]
    says = f"PyAV {av.__version__} decodes {', '.join(c for c in _CODECS if c not in missing)}"
    return Finding("video codecs", not missing, says + (f"; not {', '.join(missing)}" if missing else ""))


def _sources(project: Project) -> Finding:
    """Check that every video and every review file is pulled."""
    if not project.paths.videos.exists():
        return Finding("videos and reviews", False, "no data/videos.yaml; create it with `gotowce sync`")
    missing_videos = [key for key in project.videos if project.raw_state(key) == "gone"]
    files = [project.raw_path(key) for key in project.videos] + tracked_files(project.paths.reviewed_videos)
    problem = not_pulled(files)
    says = [*([problem] if problem else []), *(f"{key}: its file is missing" for key in missing_videos)]
    return Finding("videos and reviews", not says, "; ".join(says) or f"{len(files)} files, all present")


def _engines(project: Project) -> Iterator[Finding]:
    used = preferences(project.params)
    for stage, engines in every_engine(project.params).items():
        for engine in engines:
            reason = unknown(stage, engine) or obstacle(engine)
            says = "available" if engine in used[stage] else "available; not used by params.yaml"
            yield Finding(f"{stage}: {engine}", reason is None, reason or says)
    if project.paths.engines.exists():
        chosen = ", ".join(f"{stage}: {engine}" for stage, engine in project.engines.items())
        yield Finding("chosen engines", True, chosen)
    else:
        yield Finding("chosen engines", False, "none yet; choose them with `gotowce sync`")


def _detectors(project: Project) -> Iterator[Finding]:
    params = project.params
    for section, detectors in (
        ("designator_detections", params.designator_detections.detectors),
        ("detector_comparison", params.detector_comparison.detectors),
    ):
        for name, settings in detectors.items():
            reason = registry.obstacle(settings)
            yield Finding(f"{section}: {name}", reason is None, reason or "available")


def _weights(name: str) -> Finding:
    published = weights.WEIGHTS[name]
    checked = "digest as published" if published.is_verified else "no known digest: format checked only"
    wrong = "".join(f"; {problem}" for problem in weights.faults(name))
    if path := weights.find(name):
        return Finding(name, True, f"{path} ({checked}){wrong}")
    if reason := weights.obstacle(name):
        return Finding(name, False, f"{reason}; put the published file there, or set GOTOWCE_WEIGHTS_DIR")
    return Finding(name, True, f"available at {published.url}; downloaded on first use ({checked}){wrong}")


def _label_studio(project: Project) -> Finding:
    sdk = f"SDK {version('label-studio-sdk')}"
    try:
        room = connect(find(project.paths.root))
    except GotowceError as error:
        return Finding("label studio", False, f"{sdk}; {error}")
    return Finding("label studio", True, f"{sdk}; {room.url} responds and accepts the token")


def _disk(project: Project) -> Finding:
    free = shutil.disk_usage(project.paths.root).free / 1e9
    says = f"{free:.0f} GB free; an hour of 1280x720 at 2 frames per second takes about 2 GB"
    return Finding("disk", free > _LOW_DISK_GB, says)
