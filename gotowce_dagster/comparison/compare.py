"""Comparison of detectors on the same frames, one after the other: accuracy, speed and cost."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gotowce_dagster.comparison import accuracy
from gotowce_dagster.comparison.contenders import Against, Contender
from gotowce_dagster.comparison.footage import Sample
from gotowce_dagster.comparison.fresh import Run, run_fresh
from gotowce_dagster.comparison.job import Job, Limits
from gotowce_dagster.config.params import MeasuringParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.evaluation.scoring import Case

_SCORES = tuple(
    (f"{name}{end}", pa.float64(), True) for name in accuracy.MEASURES for end in ("", "_low", "_high")
)

TABLE = pa.schema(
    [
        pa.field(name, kind, bool(rest and rest[0]))
        for name, kind, *rest in (
            ("name", pa.string()),
            ("what", pa.string()),  # detector or segmenter
            ("status", pa.string()),  # see fresh.Status
            ("reason", pa.string()),  # why it did not finish; empty if it did
            ("truth", pa.string()),  # designator or object: the ground truth
            ("frames", pa.int64()),  # frames it processed
            (
                "failed_frames",
                pa.int64(),
            ),  # of them, with an error; they count as no detection
            ("unanswered_frames", pa.int64()),  # of them, without a usable response; not scored
            ("scored_frames", pa.int64()),  # of them, with ground truth
            ("truths", pa.int64()),  # ground-truth boxes
            ("boxes", pa.int64()),  # predicted boxes, in all frames
            ("dropped_boxes", pa.int64()),  # without area or not finite
            *_SCORES,
            # The confidence threshold with the best F1 at IoU 0.5 on these frames, and that F1.
            ("best_confidence", pa.float64(), True),
            ("best_f1_50", pa.float64(), True),
            ("median_s", pa.float64(), True),  # per frame, one at a time
            ("p95_s", pa.float64(), True),
            (
                "images_per_s",
                pa.float64(),
                True,
            ),  # at best_batch; paid detectors run with batch size 1 only
            ("best_batch", pa.int64(), True),
            ("load_s", pa.float64(), True),
            ("warm_up_s", pa.float64(), True),  # the first frame, not included above
            ("memory_mb", pa.float64(), True),  # peak of its process, one frame at a time
            ("batch_memory_mb", pa.float64(), True),  # peak over all batch sizes
            ("gpu_memory_mb", pa.float64(), True),  # torch's peak, one frame at a time
            ("weights_mb", pa.float64(), True),  # on disk
            ("weights", pa.string()),
            ("device", pa.string()),
            ("tokens_in", pa.int64(), True),
            ("tokens_out", pa.int64(), True),
            ("money_per_1000", pa.float64(), True),  # US dollars for 1,000 frames
            ("invalid_share", pa.float64(), True),  # unparseable text responses; null without any
            ("retries", pa.int64(), True),
            ("budget_frames", pa.int64()),
            ("budget_hours", pa.float64(), True),  # time for budget_frames on this machine
            ("budget_money", pa.float64(), True),  # their cost, US dollars
            ("settings", pa.string()),  # JSON
        )
    ]
)

BOXES = pa.schema(
    [
        pa.field(name, kind, False)
        for name, kind in (
            ("name", pa.string()),
            ("video", pa.string()),
            ("frame_index", pa.int64()),
            *((side, pa.float64()) for side in BOX),
            ("confidence", pa.float64()),
            ("class_name", pa.string()),
            ("prompt", pa.string()),
        )
    ]
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of a comparison."""

    sample: Sample
    contenders: list[Contender]
    runs: dict[str, Run]
    """Runs by contender name."""
    table: pd.DataFrame
    """Columns of TABLE."""
    boxes: pd.DataFrame
    """Columns of BOXES."""
    pairs: pd.DataFrame
    """accuracy.differences of F1 at IoU 0.5 between detectors with the same kind of ground truth."""
    agreement: pd.DataFrame
    """accuracy.agreement of the detectors that processed a frame."""

    def cases(self, name: str) -> list[Case]:
        """Predictions and ground truth of a contender, for its frames with ground truth."""
        against = next(c.against for c in self.contenders if c.name == name)
        return _cases(self.sample, against, self.runs[name])


def compare(
    contenders: Sequence[Contender],
    sample: Sample,
    params: MeasuringParams,
    folder: Path,
    start: Callable[[str], Progress],
) -> Comparison:
    """Run every contender in its own process, one at a time, and summarize the results.

    Args:
        folder: Folder for files exchanged between the processes.
        start: Returns the progress callback of a contender, by its name.

    Raises:
        InputError: Two contenders have the same name.
    """
    if len({c.name for c in contenders}) < len(contenders):
        raise InputError(
            f"two contenders have the same name: {', '.join(c.name for c in contenders)}; rename one of them"
        )
    runs = {}
    for place, contender in enumerate(contenders):
        job = _job(contender, sample, params)
        if contender.obstacle is not None:
            runs[contender.name] = Run(job, "cannot run", contender.obstacle)
        elif not job.pictures:
            runs[contender.name] = Run(
                job, "cannot run", "no frame has ground truth of an object in a designator"
            )
        else:
            progress = start(contender.name)
            runs[contender.name] = run_fresh(job, folder / str(place), params.timeout_s, progress)
    return summarize(contenders, sample, runs, params)


def summarize(
    contenders: Sequence[Contender], sample: Sample, runs: Mapping[str, Run], params: MeasuringParams
) -> Comparison:
    """Compute scores, intervals, differences and agreement of finished runs."""
    bootstrap = accuracy.Bootstrap(params.bootstrap, params.interval, params.seed)
    cases = {c.name: _cases(sample, c.against, runs[c.name]) for c in contenders}
    rows = [_row(c, runs[c.name], cases[c.name], bootstrap, params) for c in contenders]
    pairs = [
        accuracy.differences(
            {
                c.name: accuracy.Tally.of(cases[c.name])
                for c in contenders
                if (c.what, c.against) == kind and cases[c.name]
            },
            bootstrap,
        ).assign(truth=kind[1])
        for kind in dict.fromkeys((c.what, c.against) for c in contenders)
    ]
    found = {
        c.name: {frame: boxes.xyxy for frame, boxes in runs[c.name].found.items()}
        for c in contenders
        if c.what == "detector" and runs[c.name].frames
    }
    return Comparison(
        sample,
        list(contenders),
        dict(runs),
        pd.DataFrame(rows, columns=TABLE.names),
        _boxes(runs),
        pd.concat([part for part in pairs if len(part)] or pairs, ignore_index=True),
        accuracy.agreement(found),
    )


def _job(contender: Contender, sample: Sample, params: MeasuringParams) -> Job:
    return Job(
        maker=contender.maker,
        name=contender.name,
        settings=contender.settings,
        by_profile=contender.by_profile,
        pictures=sample.pictures if contender.what == "detector" else sample.designated(),
        limits=Limits(max_batch=params.max_batch, batch_s=params.batch_s, memory_mb=params.memory_mb),
    )


def _cases(sample: Sample, against: Against, run: Run) -> list[Case]:
    cases = (sample.case(frame, against, found) for frame, found in run.found.items())
    return [case for case in cases if case is not None]


def _row(
    contender: Contender,
    run: Run,
    cases: Sequence[Case],
    bootstrap: accuracy.Bootstrap,
    params: MeasuringParams,
) -> dict[str, Any]:
    scores = accuracy.with_intervals(accuracy.Tally.of(cases), bootstrap) if cases else {}
    # A segmenter has no confidence threshold.
    confidence, f1 = accuracy.best_threshold(cases if contender.what == "detector" else [])
    return {
        "name": contender.name,
        "what": contender.what,
        "status": run.status,
        "reason": run.reason,
        "truth": contender.against,
        "frames": len(run.frames),
        "failed_frames": sum("error" in frame for frame in run.frames),
        "unanswered_frames": sum("unanswered" in frame for frame in run.frames),
        "scored_frames": len(cases),
        "truths": sum(len(case.truth) for case in cases),
        "boxes": sum(len(frame.get("boxes", [])) for frame in run.frames),
        "dropped_boxes": sum(frame.get("dropped", 0) for frame in run.frames),
        **scores,
        "best_confidence": confidence,
        "best_f1_50": f1,
        **_speed(run),
        **_means(run),
        **_budget(run, params.budget_frames),
        "settings": json.dumps(contender.settings),
    }


def _speed(run: Run) -> dict[str, Any]:
    last = run.frames[-1] if run.frames else {}
    seconds = run.seconds
    one = [{"size": 1, "images_per_s": 1 / seconds.mean()}] if len(seconds) else []
    best = max(run.batches or one, key=lambda batch: batch["images_per_s"], default={})
    return {
        "median_s": float(np.median(seconds)) if len(seconds) else None,
        "p95_s": float(np.quantile(seconds, 0.95)) if len(seconds) else None,
        "images_per_s": best.get("images_per_s"),
        "best_batch": best.get("size"),
        "load_s": run.loaded.get("load_s"),
        "warm_up_s": run.loaded.get("warm_up_s"),
        "memory_mb": last.get("memory_mb"),
        "gpu_memory_mb": last.get("gpu_memory_mb"),
        "batch_memory_mb": max((batch["memory_mb"] for batch in run.batches), default=None),
    }


def _means(run: Run) -> dict[str, Any]:
    cost = _cost(run)
    answers = cost.get("answers", 0)
    return {
        "weights_mb": run.loaded.get("weights_mb"),
        "weights": ", ".join(run.loaded.get("weights", [])),
        "device": run.loaded.get("device", ""),
        "tokens_in": cost.get("tokens_in"),
        "tokens_out": cost.get("tokens_out"),
        "money_per_1000": 1000 * cost["money"] / len(run.frames) if cost else None,
        "invalid_share": cost["invalid"] / answers if answers else None,
        "retries": cost.get("retries"),
    }


def _budget(run: Run, frames: int) -> dict[str, Any]:
    """Hours and money for this number of frames, at the fastest batch size."""
    if not len(run.seconds):
        return {"budget_frames": frames, "budget_hours": None, "budget_money": None}
    speed = max([1 / run.seconds.mean(), *(batch["images_per_s"] for batch in run.batches)])
    money = _cost(run)["money"] / len(run.frames)
    hours = (run.loaded["load_s"] + frames / speed) / 3600
    return {"budget_frames": frames, "budget_hours": float(hours), "budget_money": frames * money}


def _cost(run: Run) -> dict[str, float]:
    """Fields of detectors.base.Cost, without warm-up and batches."""
    return next((frame["cost"] for frame in reversed(run.frames) if "cost" in frame), {})


def _boxes(runs: Mapping[str, Run]) -> pd.DataFrame:
    rows = [
        (name, frame["video"], frame["frame_index"], *box)
        for name, run in runs.items()
        for frame in run.frames
        for box in frame.get("boxes", [])
    ]
    return pd.DataFrame(rows, columns=BOXES.names)
