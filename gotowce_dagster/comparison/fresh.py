"""Isolated runs: each contender in its own process, so that its memory, threads or crash affect no other."""

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
import pandas as pd
import supervision as sv

from gotowce_dagster.comparison.job import EVENTS, JOB, LOG, Job
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.detections import from_rows
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.redact import redact, secrets_of_environment

Status = Literal["ran", "cannot run", "stopped", "failed", "killed", "timed out"]
"""``stopped``: ended with a reason, for example its budget. ``failed``: ended by an unexpected error."""

_POLL_S = 0.1


@dataclass(frozen=True, eq=False)
class Run:
    """Measurements of one contender, complete or not."""

    job: Job
    status: Status
    reason: str
    """Why it did not finish; empty if it did."""
    loaded: dict[str, Any] = field(default_factory=dict)
    """load_s, warm_up_s, weights, weights_mb, device, is_paid; empty if it did not load."""
    frames: Sequence[dict[str, Any]] = ()
    """One per processed frame, in order: video, frame_index, and seconds and boxes, or error; and
    ``unanswered``, the reason, if its response was not usable."""
    batches: Sequence[dict[str, Any]] = ()
    """size, images_per_s, memory_mb."""

    @property
    def found(self) -> dict[tuple[str, int], sv.Detections]:
        """Boxes of each processed frame; none for frames with an error. Frames without a usable response are
        left out, because their result is unknown."""
        return {
            (frame["video"], frame["frame_index"]): _detections(frame.get("boxes", []))
            for frame in self.frames
            if "unanswered" not in frame
        }

    @property
    def seconds(self) -> np.ndarray:
        """Seconds of each frame with a result."""
        return np.array([frame["seconds"] for frame in self.frames if "seconds" in frame])


def run_fresh(job: Job, folder: Path, timeout_s: float, progress: Progress = silent) -> Run:
    """Run a job in a new process and wait for it; its failures are recorded, not raised.

    Args:
        folder: New folder for files exchanged between both processes.
        timeout_s: Seconds after which the process and its children are killed.
        progress: Called with the number of finished frames, and of all frames.
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
        requested=len(job.pictures),
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
    """Wait until the process ends; returns True if it timed out."""
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
    """Kill the process and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _events(folder: Path) -> list[dict[str, Any]]:
    """Read all complete lines; the last line of a killed process may be truncated."""
    lines = (folder / EVENTS).read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _judge(
    *,
    code: int,
    is_late: bool,
    events: Sequence[dict[str, Any]],
    frames: Sequence[dict[str, Any]],
    requested: int,
    timeout_s: float,
    folder: Path,
) -> tuple[Status, str]:
    end = events[-1] if events and events[-1]["event"] == "end" else {}
    processed = f"{len(frames)} of {requested} frames"
    errors = [frame["error"] for frame in frames if "error" in frame]
    status: Status
    if "stopped" in end:
        is_loaded = any(event["event"] == "loaded" for event in events)
        status, reason = (
            ("stopped", f"{end['stopped']} (after {processed})")
            if is_loaded
            else ("cannot run", end["stopped"])
        )
    elif is_late:
        status, reason = "timed out", f"after {timeout_s:g} s and {processed}"
    elif code < 0:
        name = signal.Signals(-code).name
        why = ", possibly out of memory" if name == "SIGKILL" else ""
        status, reason = "killed", f"by {name}{why}, after {processed}"
    elif code or not end:
        status, reason = "failed", end.get("error") or _last_line(folder) or f"exit code {code}"
    elif errors and len(errors) == len(frames):
        status, reason = "failed", f"on every frame: {errors[0]}"
    else:
        notes = [f"failed on {len(errors)} frames: {errors[0]}"] if errors else []
        cost = frames[-1]["cost"] if frames else {}
        if cost.get("invalid"):
            notes.append(f"{cost['invalid']} of {cost['answers']} responses were unparseable")
        if unanswered := sum("unanswered" in frame for frame in frames):
            notes.append(f"{unanswered} frames have no usable response and are not scored")
        status, reason = "ran", "; ".join(notes)
    if status != "ran" and len(frames) == requested and len(errors) < len(frames):
        # All frames were measured; only the batches are missing.
        return "ran", f"batches: {status} {reason}"
    return status, reason


def _last_line(folder: Path) -> str:
    """The last line of the log, where a traceback ends."""
    lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return redact(lines[-1], secrets_of_environment()) if lines else ""


def _detections(rows: Sequence[Sequence[Any]]) -> sv.Detections:
    table = pd.DataFrame(rows, columns=[*BOX, "confidence", "class_name", "prompt"])
    return from_rows(table, "class_name", "prompt")
