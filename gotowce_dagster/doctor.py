"""What can run on this machine, and for what cannot: why, and how to get it."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import httpx

from gotowce_dagster import weights
from gotowce_dagster.detectors import registry
from gotowce_dagster.engines import obstacle, preferences
from gotowce_dagster.project import Project

_CODECS = ("h264", "hevc", "vp9", "av1")
_LOW_DISK_GB = 10
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    what: str
    ok: bool
    says: str


def diagnose(project: Project) -> Iterator[Finding]:
    """Look at everything the pipeline needs, one finding after the other."""
    yield Finding("python", True, platform.python_version())
    yield _device()
    yield _codecs()
    yield from _engines(project)
    yield from _detectors(project)
    yield from (_weights(name) for name in weights.WEIGHTS)
    yield _label_studio()
    yield _disk(project)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return Finding(
            "device", True, f"{device.name}, {device.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        )
    if torch.backends.mps.is_available():
        return Finding("device", True, "Apple GPU (MPS)")
    return Finding("device", True, f"CPU with {os.cpu_count()} cores; a GPU would be 10 to 50 times faster")


def _codecs() -> Finding:
    import av.codec

    missing = [name for name in _CODECS if name not in av.codec.codecs_available]
    says = f"PyAV {av.__version__} decodes {', '.join(c for c in _CODECS if c not in missing)}"
    return Finding("video codecs", not missing, says + (f"; not {', '.join(missing)}" if missing else ""))


def _engines(project: Project) -> Iterator[Finding]:
    for stage, engines in preferences(project.params).items():
        for engine in engines:
            reason = obstacle(engine)
            yield Finding(f"{stage}: {engine}", reason is None, reason or "can run here")
    if project.paths.engines.exists():
        chosen = ", ".join(f"{stage}: {engine}" for stage, engine in project.engines.items())
        yield Finding("chosen engines", True, chosen)
    else:
        yield Finding("chosen engines", False, "none yet; `gotowce sync` chooses")


def _detectors(project: Project) -> Iterator[Finding]:
    told = project.params
    for section, detectors in (
        ("designator_detections", told.designator_detections.detectors),
        ("detector_comparison", told.detector_comparison.detectors),
    ):
        for name, settings in detectors.items():
            reason = registry.obstacle(settings)
            yield Finding(f"{section}: {name}", reason is None, reason or "can run here")


def _weights(name: str) -> Finding:
    if path := weights.find(name):
        return Finding(name, True, str(path))
    if weights.reachable(name):
        return Finding(name, True, f"reachable at {weights.WEIGHTS[name].url}; fetched when first used")
    where = " or ".join(map(str, weights.folders()))
    return Finding(
        name, False, f"not found and not reachable; put the file into {where}, or set GOTOWCE_WEIGHTS_DIR"
    )


def _label_studio() -> Finding:
    sdk = f"SDK {version('label-studio-sdk')}"
    url = os.environ.get("LABEL_STUDIO_URL")
    if not url:
        return Finding(
            "label studio", False, f"{sdk}; no server: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=_TIMEOUT_S)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return Finding("label studio", False, f"{sdk}; {url} does not answer as it should: {error}")
    return Finding("label studio", True, f"{sdk}; {url} answers")


def _disk(project: Project) -> Finding:
    free = shutil.disk_usage(project.paths.root).free / 1e9
    says = f"{free:.0f} GB free; an hour of 1280x720 at 2 frames a second takes about 2 GB"
    return Finding("disk", free > _LOW_DISK_GB, says)
