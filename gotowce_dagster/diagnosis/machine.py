"""Checks of the machine: device, memory, disk, video codecs, versions."""

import math
import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gotowce_dagster.config.engines import weights_of
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import extras, weights
from gotowce_dagster.core.device import best_device, half_precision
from gotowce_dagster.diagnosis.finding import Finding, Level

_CODECS = ("h264", "hevc", "vp9", "av1")
_PACKAGES = ("dagster", "dvc", "torch", "ultralytics", "sam2", "transformers", "av", "label-studio-sdk")
_RESERVE_GB = 10
"""Of disk, for the dataset, the model, the studies and downloads."""
_BYTES_PER_PIXEL = 0.3
"""Of disk, for a sampled frame with its masks: 1280x720 at 2 frames per second take 2 GB an hour."""
_VIDEO_GB = 3
"""Of disk, for an hour of recorded video at usual rates; DVC's cache holds a second copy."""
_GPU_GB = 1.5
"""Of GPU memory, roughly: CUDA's own and one batch of images ..."""
_GPU_PER_WEIGHTS = 3
"""... and so many times the size of the weights' file."""
_SIZE = (1280, 720)
_USUAL_FPS = 60.0
"""Of a video that is sampled at its own rate."""


def device() -> Finding:
    """What inference and training run on, and in which precision."""
    import torch

    found = best_device()
    precision = "SAM 2 in bfloat16" if half_precision(found) else "all in float32"
    if found == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        result = f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}, {precision}"
    elif found == "mps":
        result = f"Apple GPU (MPS), {precision}"
    else:
        result = f"CPU with {os.cpu_count()} cores, {precision}; a GPU would be 10 to 50 times faster"
    return Finding("device", True, result)


def gpu_memory(engines: dict[str, str], available_gb: float | None = None) -> Iterator[Finding]:
    """Compare the GPU's memory with a rough estimate of what each chosen engine needs; nothing without a GPU.

    Args:
        engines: The chosen engines by part.
        available_gb: The GPU's memory; default: that of this machine.
    """
    if available_gb is None:
        available_gb = _gpu_gb()
    if available_gb is None:
        return
    for part, engine in engines.items():
        name = weights_of(engine)
        file = weights.find(name) if name else None
        if file is None:
            continue
        parts = [file] if file.is_file() else [part for part in file.rglob("*") if part.is_file()]
        needed = _GPU_GB + _GPU_PER_WEIGHTS * sum(part.stat().st_size for part in parts) / 1e9
        fits = needed < available_gb
        result = f"{engine} needs about {needed:.1f} GB of the GPU's {available_gb:.1f}"
        do = "" if fits else "choose smaller weights in params.yaml, then run `gotowce sync --refresh`"
        yield Finding(f"GPU memory for {part}", fits, result, do, Level.FINE if fits else Level.HINT)


def _gpu_gb() -> float | None:
    import torch

    if best_device() != "cuda":
        return None
    return torch.cuda.get_device_properties(0).total_memory / 1e9


def codecs() -> Finding:
    """What PyAV's own FFmpeg can read and write."""
    import av
    import av.codec
    from av.codec.hwaccel import hwdevices_available

    missing = [name for name in _CODECS if name not in av.codec.codecs_available]
    can_write = "libx264" in av.codec.codecs_available
    hardware = ", ".join(hwdevices_available()) or "none"
    result = (
        f"PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info}) decodes "
        f"{', '.join(name for name in _CODECS if name not in missing)}, "
        f"{'writes' if can_write else 'does not write'} h264; hardware decoders built in: {hardware}"
    )
    result += f"; not {', '.join(missing)}" if missing else ""
    ok = not missing and can_write
    do = "" if ok else "pip install --force-reinstall --only-binary av av"
    return Finding("video codecs", ok, result, do, Level.FINE if ok else Level.WRONG)


def versions(project: Project) -> Finding:
    """The versions of Python and of the main packages, compared with the project's pins."""
    found = {name: _version(name) for name in _PACKAGES}
    pinned = _pins(project.paths.root / "requirements.lock")
    other = [
        f"{name} {found[name] or 'not installed'}, pinned {pinned[name]}"
        for name in _PACKAGES
        if name in pinned and found[name] != pinned[name]
    ]
    result = ", ".join([f"Python {platform.python_version()}", *(f"{k} {v}" for k, v in found.items() if v)])
    if other:
        return Finding("versions", False, "; ".join(other), "make install", Level.HINT)
    return Finding("versions", True, result)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _pins(lock: Path) -> dict[str, str]:
    """The pinned version of each package; those with one version for all platforms."""
    if not lock.exists():
        return {}
    lines = lock.read_text(encoding="utf-8").splitlines()
    pins = (line.rstrip(" \\").partition("==") for line in lines if line[:1].isalnum())
    return {name: pinned for name, _, pinned in pins if ";" not in pinned}


def optional() -> Iterator[Finding]:
    """The extras of the package; only a missing one that params.yaml uses is reported elsewhere as wrong."""
    for extra in extras.EXTRAS:
        reason = extras.obstacle(extra)
        yield Finding(f"extra {extra}", reason is None, reason or "installed")


def weights_folder() -> Finding:
    """The folder of the user's own weights."""
    given = os.environ.get("GOTOWCE_WEIGHTS_DIR")
    *_, cache = weights.folders()
    if not given:
        result = f"GOTOWCE_WEIGHTS_DIR is not set; downloads are kept in {cache}"
        return Finding("weights folder", True, result)
    folder = Path(given).expanduser()
    if not folder.is_dir():
        result = f"GOTOWCE_WEIGHTS_DIR is {given}, which is not a folder"
        return Finding("weights folder", False, result, f"mkdir -p '{folder}'", Level.WRONG)
    here = [name for name in weights.WEIGHTS if (folder / name).exists()]
    result = f"GOTOWCE_WEIGHTS_DIR is {given}, with {', '.join(here) or 'none of the weights known here'}"
    return Finding("weights folder", True, result)


def disk(project: Project, hours: float | None = None, free_gb: float | None = None) -> Finding:
    """Compare free disk space with what the project still needs.

    Args:
        hours: Hours of 1280x720 video to be added; default: the project's own videos without frames.
        free_gb: Free space; default: that of the project's disk.
    """
    free = shutil.disk_usage(project.paths.root).free / 1e9 if free_gb is None else free_gb
    if hours is not None:
        needed = hours * (2 * _VIDEO_GB + _frames_gb(project, 3600, *_SIZE))
        of = f"{hours:g} hours of 1280x720 video"
    else:
        seconds, needed = _left(project)
        of = f"{seconds / 3600:.1f} hours of video without frames"
    needed += _RESERVE_GB
    result = f"{free:.0f} GB free; {of} and the rest of the pipeline need about {math.ceil(needed)} GB"
    if free > needed:
        return Finding("disk", True, result)
    do = "free some space, or lower extracted_frames.fps in params.yaml"
    return Finding("disk", False, result, do, Level.WRONG)


def _left(project: Project) -> tuple[float, float]:
    """Seconds of the videos without frames, and the gigabytes that their frames will take."""
    import av

    total_s = total_gb = 0.0
    for key in project.videos:
        path = project.raw_path(key)
        if project.paths.frames(key).exists() or not path.is_file():
            continue
        try:
            with av.open(str(path)) as container:
                seconds = (container.duration or 0) / 1e6
                stream = container.streams.video[0]
                width, height = stream.width, stream.height
        except (av.error.FFmpegError, IndexError):
            continue  # `gotowce sync` reports what is no video
        total_s += seconds
        total_gb += _frames_gb(project, seconds, width, height)
    return total_s, total_gb


def _frames_gb(project: Project, seconds: float, width: int, height: int) -> float:
    fps = project.params.extracted_frames.fps or _USUAL_FPS
    return seconds * fps * width * height * _BYTES_PER_PIXEL / 1e9
