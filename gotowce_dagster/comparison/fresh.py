"""Each detector in a process of its own: what one does to memory, threads or itself touches no other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import supervision as sv

from gotowce_dagster.comparison.job import EVENTS, JOB, LOG, Job
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.redact import redact, secrets_of_environment

Status = Literal["ran", "cannot run", "stopped", "failed", "killed", "timed out"]
"""``stopped``: by itself, with a reason, for instance a budget. ``failed``: by an error of its own."""

_POLL_S = 0.1


@dataclass(frozen=True, eq=False)
class Run:
    """What was learned of one detector, however far it came."""

    job: Job
    status: Status
    reason: str
    """Why it did not do all it was asked; empty if it did."""
    loaded: dict[str, Any] = field(default_factory=dict)
    """load_s, warm_up_s, weights, weights_mb, device, is_paid; empty if it did not load."""
    frames: Sequence[dict[str, Any]] = ()
    """One a frame it saw, in order: video, frame_index, and seconds and boxes, or error; and ``unanswered``,
    why its answer was worth nothing, where it was."""
    batches: Sequence[dict[str, Any]] = ()
    """size, images_per_s, memory_mb."""

    @property
    def found(self) -> dict[tuple[str, int], sv.Detections]:
        """Boxes of each frame it saw; a frame that it failed on has none. Without those it gave no usable
        answer about: nobody knows what it would have found there."""
        return {
            (frame["video"], frame["frame_index"]): _detections(frame.get("boxes", []))
            for frame in self.frames
            if "unanswered" not in frame
        }

    @property
    def seconds(self) -> np.ndarray:
        """Of each frame it answered for."""
        return np.array([frame["seconds"] for frame in self.frames if "seconds" in frame])


def run_fresh(job: Job, folder: Path, timeout_s: float, progress: Progress = silent) -> Run:
    """Do a job in a fresh process and wait for it; no failure of it is one here.

    Args:
        folder: for the files between both processes; made anew.
        timeout_s: seconds after which the process, and all it started, is killed.
        progress: told frames done and in all.
    """
    folder.mkdir(parents=True)
    (folder / EVENTS).touch()
    (folder / JOB).write_text(job.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "gotowce_dagster.comparison.worker", str(folder)]
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            is_late = _wait(process, folder, len(job.pictures), time.monotonic() + timeout_s, progress)
        finally:
            _kill(process)
    events = _events(folder)
    frames = [event for event in events if event["event"] == "frame"]
    status, reason = _judge(
        code=process.returncode,
        is_late=is_late,
        events=events,
        frames=frames,
        asked=len(job.pictures),
        timeout_s=timeout_s,
        folder=folder,
    )
    return Run(
        job,
        status,
        reason,
        next((event for event in events if event["event"] == "loaded"), {}),
        frames,
        [event for event in events if event["event"] == "batch"],
    )


def _wait(
    process: subprocess.Popen[bytes], folder: Path, total: int, deadline: float, progress: Progress
) -> bool:
    """Until it ends; or True as soon as it is too late."""
    progress(0, total)
    done, events = 0, folder / EVENTS
    with events.open("rb") as file:
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
                progress(total, total)
                return False
            done += file.read().count(b'"event": "frame"')
            progress(done, total)
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process and whatever it has started and left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _events(folder: Path) -> list[dict[str, Any]]:
    """Every whole line; the last may be cut off in a process that was killed."""
    lines = (folder / EVENTS).read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _judge(
    *,
    code: int,
    is_late: bool,
    events: Sequence[dict[str, Any]],
    frames: Sequence[dict[str, Any]],
    asked: int,
    timeout_s: float,
    folder: Path,
) -> tuple[Status, str]:
    end = events[-1] if events and events[-1]["event"] == "end" else {}
    seen = f"{len(frames)} of {asked} frames"
    errors = [frame["error"] for frame in frames if "error" in frame]
    status: Status
    if "stopped" in end:
        is_loaded = any(event["event"] == "loaded" for event in events)
        status, reason = (
            ("stopped", f"{end['stopped']} (after {seen})") if is_loaded else ("cannot run", end["stopped"])
        )
    elif is_late:
        status, reason = "timed out", f"after {timeout_s:g} s, having seen {seen}"
    elif code < 0:
        name = signal.Signals(-code).name
        why = ", perhaps for want of memory" if name == "SIGKILL" else ""
        status, reason = "killed", f"by {name}{why}, having seen {seen}"
    elif code or not end:
        status, reason = "failed", end.get("error") or _last_words(folder) or f"exit code {code}"
    elif errors and len(errors) == len(frames):
        status, reason = "failed", f"on every frame: {errors[0]}"
    else:
        told = [f"failed on {len(errors)} frames: {errors[0]}"] if errors else []
        cost = frames[-1]["cost"] if frames else {}
        if cost.get("invalid"):
            told.append(f"{cost['invalid']} of {cost['answers']} answers could not be used")
        if unanswered := sum("unanswered" in frame for frame in frames):
            told.append(f"{unanswered} frames got no usable answer and are not scored")
        status, reason = "ran", "; ".join(told)
    if status != "ran" and len(frames) == asked and len(errors) < len(frames):
        # Only what came after the frames is missing.
        return "ran", f"several pictures at once: {status} {reason}"
    return status, reason


def _last_words(folder: Path) -> str:
    """The line that a traceback ends with."""
    lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return redact(lines[-1], secrets_of_environment()) if lines else ""


def _detections(rows: Sequence[Sequence[Any]]) -> sv.Detections:
    x1, y1, x2, y2, confidence, names, prompts = zip(*rows, strict=True) if rows else ((),) * 7
    return sv.Detections(
        xyxy=np.array([x1, y1, x2, y2], float).T.reshape(-1, 4),
        confidence=np.array(confidence, float),
        data={"class_name": np.array(names, dtype=str), "prompt": np.array(prompts, dtype=str)},
    )
