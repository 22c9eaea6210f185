"""Run detectors on frames; the detections are rows of a table."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import ConsensusParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.detections import to_rows
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.core.tables import DETECTIONS, empty
from gotowce_dagster.detectors.base import Cost, Detector, invalid_boxes
from gotowce_dagster.detectors.consensus import agree
from gotowce_dagster.detectors.detected import Bill, Detected
from gotowce_dagster.video.decode import probe, read_frames

BATCH = 8
"""Images per call of a detector."""
_TYPES = {"confidence": np.float32, "visible_corners": "Int8"}
VIDEO_COLUMNS = ["video", "frame_index", *BOX, "confidence", "class_name", "detector"]


def detect_frames(
    video: str,
    frames: Iterable[tuple[int, np.ndarray]],
    detectors: Sequence[Detector],
    consensus: ConsensusParams | None = None,
) -> Detected:
    """Run detectors on a stream of frames, with one batch of images in memory at a time.

    Args:
        video: the video's name in the rows.
        frames: (frame_index, RGB uint8 (H, W, 3)) in any order.
        consensus: how boxes of several detectors are fused; None: keep all.

    Returns:
        Rows of tables.DETECTIONS, with unanswered frames and bills. A frame with an invalid box counts as
        unanswered. A bill covers everything since the detector was created.
    """
    stream = iter(frames)
    parts = [empty(DETECTIONS)]
    unanswered: dict[int, dict[str, str]] = {}
    short = 0
    while batch := list(islice(stream, BATCH)):
        indices, images = zip(*batch, strict=True)
        answers = [detector.detect(images) for detector in detectors]
        for frame_index, image, *results in zip(indices, images, *answers, strict=True):
            found, why = zip(*(_valid(boxes, image.shape) for boxes in results), strict=True)
            rows = pd.concat([_rows(d, boxes) for d, boxes in zip(detectors, found, strict=True)])
            rows = rows.sort_values("confidence", ascending=False, kind="stable")
            failed = {d.name: words for d, words in zip(detectors, why, strict=True) if words}
            if failed:
                unanswered[int(frame_index)] = failed
            if consensus and len(detectors) > 1:
                # A detector that failed on a frame does not vote, so it counts as no miss.
                voting = [detector.name for detector in detectors if detector.name not in failed]
                agreed = agree(rows, voting, consensus)
                rows, short = agreed.rows.astype(_TYPES), short + agreed.short
            if len(rows):
                numbers = np.arange(len(rows), dtype=np.int32)
                parts.append(rows.assign(video=video, frame_index=frame_index, detection_id=numbers))
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    table = table[DETECTIONS.names]
    bills = {detector.name: bill(detector.cost) for detector in detectors if detector.cost.answers}
    return Detected(table, unanswered, short, bills)


def bill(cost: Cost) -> Bill:
    """Answers, invalid answers, tokens and US dollars of a cost; money None: price unknown.

    Cached answers count like new ones, as in all tables and comparisons. Retries are left out: equal answers
    must give equal bills, however busy the server was.
    """
    counted = {name: getattr(cost, name) for name in ("answers", "invalid", "tokens_in", "tokens_out")}
    return counted | {"money": None if math.isnan(cost.money) else cost.money}


def bill_in_words(name: str, bill: Bill) -> str:
    """A detector's bill as one sentence."""
    money = "price unknown" if bill["money"] is None else f"worth ${bill['money']:.4f}"
    return (
        f"{name}: {bill['answers']} answers, {bill['invalid']} of them invalid, "
        f"{bill['tokens_in']:,} input and {bill['tokens_out']:,} output tokens, {money}; cached answers "
        "are counted but not paid for again"
    )


def detect_video(
    path: Path,
    detector: Detector,
    frames: Collection[int] | None = None,
    progress: Progress = silent,
) -> Detected:
    """Detections in a video file; the rows have VIDEO_COLUMNS only, and ``video`` is the file's name.

    Args:
        frames: only these frames; default all.

    Raises:
        InputError: the file is not a video, or lacks one of the frames.
    """
    seen: list[int] = []

    def images() -> Iterator[tuple[int, np.ndarray]]:
        total = len(set(frames)) if frames is not None else probe(path).frames
        for frame in tracked(read_frames(path, frames), total, progress):
            seen.append(frame.index)
            yield frame.index, frame.rgb()

    detected = detect_frames(path.name, images(), [detector])
    if missing := sorted(set(frames or ()) - set(seen)):
        raise InputError(f"{path}: has no readable frame {', '.join(map(str, missing))}")
    return replace(detected, rows=detected.rows[VIDEO_COLUMNS])


def _valid(found: sv.Detections, shape: tuple[int, ...]) -> tuple[sv.Detections, str]:
    """The valid detections, clipped to the image, and why the result is incomplete ("" if complete)."""
    bad = invalid_boxes(found, shape)
    why = [str(found.metadata["unanswered"])] if found.metadata.get("unanswered") else []
    if bad.any():
        why.append(
            f"{bad.sum()} of {len(found)} boxes were empty, outside the image, or had no class or confidence"
        )
    kept = found[~bad]
    assert isinstance(kept, sv.Detections)
    height, width = shape[:2]
    kept.xyxy = np.clip(kept.xyxy, 0, [width, height, width, height])
    return kept, "; ".join(why)


def _rows(detector: Detector, found: sv.Detections) -> pd.DataFrame:
    corners = found.data.get("visible_corners", np.full(len(found), None))
    return to_rows(found, "class_name", "prompt").assign(
        detector=np.full(len(found), detector.name, dtype=object),
        visible_corners=pd.array(np.asarray(corners).tolist(), dtype="Int8"),
        votes=np.full(len(found), None, dtype=object),
    )
