"""Measuring process: ``python -m gotowce_dagster.comparison.worker FOLDER`` runs the job in that folder.

It writes results line by line, so that a killed process loses nothing it has measured.
"""

import json
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.comparison.job import EVENTS, JOB, Job, Picture
from gotowce_dagster.comparison.subjects import Subject, size_mb
from gotowce_dagster.core.detections import confidences
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.memory import peak_mb
from gotowce_dagster.core.redact import redact, secrets_of_environment
from gotowce_dagster.detectors.base import invalid_boxes
from gotowce_dagster.pictures.read import read_rgb

_ROUNDS = 2
"""Timed rounds per batch size, after one warm-up round; the fastest counts."""

_WATCH_S = 0.5
"""Seconds between checks that the parent process still exists."""

Event = dict[str, Any]


def measure(job: Job) -> Iterator[Event]:
    """Measure every frame one at a time, then batches; yields results as they are measured.

    Yields:
        ``loaded`` once, ``frame`` for each frame, ``batch`` for each batch size.

    Raises:
        GotowceError: It cannot run here, or stopped itself; results yielded before are valid.
    """
    subject: Subject | None = None
    made_for: Path | None = None
    spent: dict[str, float] = {}
    seconds_per_frame: list[float] = []
    for picture in job.pictures:
        if subject is None or (job.by_profile and picture.profile != made_for):
            is_first = subject is None
            before, subject = spent, None  # free the old model before loading the new one
            subject, loaded = _load(job, picture, before)
            made_for = picture.profile
            free = asdict(subject.cost)  # exclude the warm-up
            if is_first:
                yield loaded
        image = read_rgb(picture.file)
        event = _process_frame(subject, picture, image)
        spent = {
            name: before.get(name, 0) + value - free[name] for name, value in asdict(subject.cost).items()
        }
        if "seconds" in event:
            seconds_per_frame.append(event["seconds"])
        yield event | {"cost": spent, **_memory()}
    if subject is not None and seconds_per_frame and not subject.is_paid:
        yield from _batches(subject, job, fmean(seconds_per_frame))


def _load(job: Job, picture: Picture, spent: dict[str, float]) -> tuple[Subject, Event]:
    """Build the subject and warm it up with its first image."""
    settings = job.settings
    if settings.get("budget") is not None:
        settings = settings | {"budget": max(0.0, settings["budget"] - spent.get("money", 0.0))}
    start = time.perf_counter()
    subject: Subject = pkgutil.resolve_name(job.maker)(job.name, settings, picture.profile)
    load_s = time.perf_counter() - start
    warm_up_s = None
    if not subject.is_paid:
        image = read_rgb(picture.file)
        start = time.perf_counter()
        _predict(subject, [image], [picture])
        warm_up_s = time.perf_counter() - start
    return subject, {
        "event": "loaded",
        "load_s": load_s,
        "warm_up_s": warm_up_s,
        "weights": list(subject.weights),
        "weights_mb": size_mb(subject.weights),
        "device": subject.device,
        "is_paid": subject.is_paid,
    }


def _process_frame(subject: Subject, picture: Picture, image: np.ndarray) -> Event:
    """Process one frame; an error becomes part of its result and does not stop the others."""
    event: Event = {"event": "frame", "video": picture.video, "frame_index": picture.frame_index}
    start = time.perf_counter()
    try:
        (found,) = _predict(subject, [image], [picture])
        seconds = time.perf_counter() - start
        boxes, dropped = _rows(found, image.shape)
    except GotowceError:
        raise
    except Exception as error:
        return event | {"error": f"{type(error).__name__}: {_shown(error)}"}
    why = found.metadata.get("unanswered")
    answered = {"unanswered": _shown(why)} if why else {}
    return event | {"seconds": seconds, "boxes": boxes, "dropped": dropped, **answered}


def _predict(
    subject: Subject, images: Sequence[np.ndarray], pictures: Sequence[Picture]
) -> list[sv.Detections]:
    designators = [np.array(picture.designators, float).reshape(-1, 4) for picture in pictures]
    found = subject.find(images, designators)
    if len(found) != len(images):
        raise ValueError(f"{len(found)} results for {len(images)} images")
    return found


def _rows(found: sv.Detections, shape: tuple[int, ...]) -> tuple[list[list[Any]], int]:
    """Boxes as x1, y1, x2, y2, confidence, class and prompt; and the number of invalid boxes left out."""
    xyxy = np.asarray(found.xyxy, float).reshape(-1, 4)
    confidence = confidences(found).astype(float)
    names = [
        np.asarray(found.data.get(name, np.full(len(xyxy), ""))).astype(str)
        for name in ("class_name", "prompt")
    ]
    good = ~invalid_boxes(found, shape)
    columns = [*xyxy[good].T.tolist(), confidence[good].tolist(), *(name[good].tolist() for name in names)]
    return [list(row) for row in zip(*columns, strict=True)], int((~good).sum())


def _batches(subject: Subject, job: Job, usual_s: float) -> Iterator[Event]:
    """Measure throughput at batch sizes 1, 2, 4 ... on the same images, within limits of time and memory.

    Args:
        usual_s: Mean seconds per image, one at a time.
    """
    limits, start, size = job.limits, time.perf_counter(), 1
    # Only frames of the last video: others may need another profile, and other sizes cannot be batched.
    same_video = [picture for picture in job.pictures if picture.video == job.pictures[-1].video]
    pictures = [same_video[position % len(same_video)] for position in range(limits.max_batch)]
    round_s = usual_s * len(pictures)
    if (1 + _ROUNDS) * round_s > limits.batch_s:
        return
    images = [read_rgb(picture.file) for picture in pictures]
    before = _memory()["memory_mb"]
    while size <= limits.max_batch:
        rounds = []
        for _ in range(1 + _ROUNDS):
            round_start = time.perf_counter()
            for position in range(0, len(pictures), size):
                _predict(subject, images[position : position + size], pictures[position : position + size])
            rounds.append(time.perf_counter() - round_start)
        memory = _memory()
        yield {"event": "batch", "size": size, "images_per_s": len(images) / min(rounds[1:]), **memory}
        grown = memory["memory_mb"] - before
        before, size = memory["memory_mb"], 2 * size
        is_slow = time.perf_counter() - start + sum(rounds) > limits.batch_s
        if is_slow or memory["memory_mb"] + 2 * grown > limits.memory_mb:
            return


def _memory() -> dict[str, float]:
    """Peak memory so far in megabytes: of the process, and of torch on the GPU."""
    return {"memory_mb": peak_mb(), "gpu_memory_mb": _gpu_peak_mb()}


def _gpu_peak_mb() -> float:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0.0
    return torch.cuda.max_memory_allocated() / 1e6


def _shown(what: object) -> str:
    """Text for the comparison's table, with secrets of the environment redacted."""
    return redact(str(what), secrets_of_environment())


def _end_with_parent() -> None:
    """End this process soon after its parent, which may be killed without notice."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(folder: Path) -> None:
    """Run the job of a folder; the last line written gives its outcome."""
    _end_with_parent()
    job = Job.model_validate_json((folder / JOB).read_text(encoding="utf-8"))
    with (folder / EVENTS).open("w", encoding="utf-8", buffering=1) as file:
        try:
            for event in measure(job):
                file.write(json.dumps(event) + "\n")
            end: Event = {"event": "end"}
        except GotowceError as error:
            end = {"event": "end", "stopped": _shown(error)}
        except Exception as error:
            end = {"event": "end", "error": f"{type(error).__name__}: {_shown(error)}"}
            file.write(json.dumps(end) + "\n")
            raise
        file.write(json.dumps(end) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
