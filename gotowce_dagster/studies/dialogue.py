"""Dialogues with hosted models: accuracy and price of each round."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.comparison.accuracy import MEASURES, Bootstrap, Tally, differences, with_intervals
from gotowce_dagster.comparison.footage import Sample
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.detections import to_rows
from gotowce_dagster.evaluation.scoring import FALSE_POSITIVE, Case, matches

if TYPE_CHECKING:
    from gotowce_dagster.detectors.hosted.dialogue import Turn

_SCORES = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
_GAIN = ["gain", "gain_low", "gain_high", "improved", "worse"]
COLUMNS = [
    "model", "round", "asks", "truth", "frames", "usable", "scored_frames", "truths", "boxes",
    *_SCORES, *_GAIN, "exact_share", "count_error", "tokens_in", "tokens_out", "seconds", "money_per_1000",
]  # fmt: skip


def results(
    model: str, turns: Sequence["Turn"], sample: Sample, against: str, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Accuracy and price of each round.

    Args:
        turns: answers about ``sample.pictures``, in their order.
        against: ground truth of the model, designator or object.

    Returns:
        One row per round (COLUMNS). Rounds of boxes: metrics of comparison/accuracy.py with intervals;
        ``gain`` of F1 at IoU 0.5 over the round of boxes before, on the frames of both, and the number of
        these frames with fewer (``improved``) and more errors (``worse``). Rounds of counts: ``exact_share``
        of the counts and the mean absolute ``count_error``. All: tokens and US dollars (NaN: price unknown)
        as if no answer were cached; ``seconds`` per frame. NaN where it does not apply.
    """
    rows, before = [], None
    for turn in turns:
        given = [answer for answer in turn.answers if answer is not None]
        row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan) | {
            "model": model,
            "round": turn.round.name,
            "asks": turn.round.asks,
            "truth": against,
            "frames": len(given),
            "usable": sum(answer.is_usable for answer in given),
            **_spent(turn, len(given)),
        }
        if turn.round.asks == "boxes":
            cases = _cases(turn, sample, against)
            row |= _accuracy(cases, bootstrap) | {
                "boxes": sum(len(a.boxes) for a in given if a.boxes is not None)
            }
            if before is not None:
                row |= _gain(before, cases, bootstrap)
            before = cases
        else:
            row |= _counts(turn, sample, against)
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def answers_of(model: str, turns: Sequence["Turn"], sample: Sample) -> pd.DataFrame:
    """Every answer as the model wrote it: model, round, video, frame_index, usable, count, answer."""
    rows = [
        (model, turn.round.name, *picture.frame, answer.is_usable, answer.count, answer.text)
        for turn in turns
        for picture, answer in zip(sample.pictures, turn.answers, strict=True)
        if answer is not None
    ]
    columns = ["model", "round", "video", "frame_index", "usable", "count", "answer"]
    return pd.DataFrame(rows, columns=columns).astype({"count": "Int64"})


def boxes_of(model: str, turns: Sequence["Turn"], sample: Sample) -> pd.DataFrame:
    """Every box: model, round, video, frame_index, x1, y1, x2, y2, confidence, class_name, prompt."""
    keys = ["model", "round", "video", "frame_index"]
    parts = [pd.DataFrame(columns=[*keys, *BOX, "confidence", "class_name", "prompt"])]
    for turn in turns:
        for frame, boxes in found_in(turn, sample).items():
            if len(boxes):
                values = dict(zip(keys, (model, turn.round.name, *frame), strict=True))
                parts.append(to_rows(boxes, "class_name", "prompt").assign(**values))
    return pd.concat(parts[1:] or parts, ignore_index=True)[parts[0].columns]


def found_in(turn: "Turn", sample: Sample) -> dict[tuple[str, int], sv.Detections]:
    """The boxes of a round by frame, without frames that have no usable answer."""
    return {
        picture.frame: answer.boxes
        for picture, answer in zip(sample.pictures, turn.answers, strict=True)
        if answer is not None and answer.boxes is not None
    }


def conclusion(table: pd.DataFrame, model: str) -> str:
    """What each round of a model's dialogue brings and costs, in two sentences.

    Args:
        table: from results, or read from its CSV.
    """
    mine = table[table["model"] == model]
    boxes, counts = (mine[mine["asks"] == asks] for asks in ("boxes", "count"))
    first = boxes.iloc[0]
    price = mine["money_per_1000"].sum(skipna=False)
    paid = "price unknown" if pd.isna(price) else f"all rounds cost ${price:.2f} for 1,000 frames"
    if pd.notna(price):
        paid += f", of which the first is ${first['money_per_1000']:.2f}"
    if not boxes["f1_50"].notna().any():
        found = ", ".join(f"{row['round']} {int(row['boxes'])}" for row in boxes.to_dict("records"))
        return f"{model} could not be evaluated; boxes by round: {found}. {paid[0].upper()}{paid[1:]}."
    later = [_step(row) for row in boxes.iloc[1:].to_dict("records")]
    later += [
        f"{row['round']} counts right in {row['exact_share']:.0%} of frames (mean error "
        f"{row['count_error']:.2f})"
        for row in counts[counts["exact_share"].notna()].to_dict("records")
    ]
    start = f"{model}: F1 {_spread(first, 'f1_50', '.2f')} for {first['truth']}s after {first['round']}"
    steps = f"; {'; '.join(later)}" if later else ""
    surely = [row["round"] for row in boxes.to_dict("records") if row["gain_low"] > 0]
    verdict = (
        f"Surely better than before: {', '.join(surely)}" if surely else "No later round is surely better"
    )
    return f"{start}{steps}. {verdict}; {paid}."


def _step(row: Mapping[str, Any]) -> str:
    if pd.isna(row["gain"]):
        return f"{row['round']} has no score"
    frames = f"{int(row['improved'])} frames improved and {int(row['worse'])} worse"
    return f"{row['round']} changes it by {_spread(row, 'gain', '+.2f')}, {frames}"


def _spread(row: Mapping[str, Any], name: str, shape: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:{shape}}" + ("" if pd.isna(low) else f" ({low:{shape}} to {high:{shape}})")


def _cases(turn: "Turn", sample: Sample, against: str) -> list[Case]:
    cases = (sample.case(frame, against, boxes) for frame, boxes in found_in(turn, sample).items())
    return [case for case in cases if case is not None]


def _accuracy(cases: Sequence[Case], bootstrap: Bootstrap) -> dict[str, Any]:
    scores = with_intervals(Tally.of(cases), bootstrap) if cases else {}
    return {"scored_frames": len(cases), "truths": sum(len(case.truth) for case in cases), **scores}


def _gain(before: Sequence[Case], after: Sequence[Case], bootstrap: Bootstrap) -> dict[str, Any]:
    earlier = {(case.video, case.frame_index): case for case in before}
    both = [(earlier[frame], case) for case in after if (frame := (case.video, case.frame_index)) in earlier]
    pairs = differences({"after": Tally.of(after), "before": Tally.of(before)}, bootstrap) if both else None
    if pairs is None or pairs.empty:
        return {}
    pair = pairs.iloc[0]
    errors = np.array([[_errors(case) for case in pair] for pair in both])
    return {
        "gain": pair["difference"],
        "gain_low": pair["low"],
        "gain_high": pair["high"],
        "improved": int((errors[:, 1] < errors[:, 0]).sum()),
        "worse": int((errors[:, 1] > errors[:, 0]).sum()),
    }


def _errors(case: Case) -> int:
    """False positives and false negatives at IoU 0.5."""
    matched = matches(case, 0.5)
    return int((matched == FALSE_POSITIVE).sum()) + len(case.truth) - int((matched >= 0).sum())


def _counts(turn: "Turn", sample: Sample, against: str) -> dict[str, Any]:
    errors = []
    for picture, answer in zip(sample.pictures, turn.answers, strict=True):
        case = sample.case(picture.frame, against, sv.Detections.empty())
        if case is not None and answer is not None and answer.count is not None:
            errors.append(abs(answer.count - len(case.truth)))
    if not errors:
        return {"scored_frames": 0}
    return {
        "scored_frames": len(errors),
        "exact_share": float(np.mean(np.array(errors) == 0)),
        "count_error": float(np.mean(errors)),
    }


def _spent(turn: "Turn", frames: int) -> dict[str, Any]:
    each = 1 / frames if frames else np.nan
    return {
        "tokens_in": turn.spent["tokens_in"],
        "tokens_out": turn.spent["tokens_out"],
        "seconds": turn.spent["waited"] * each,
        "money_per_1000": 1000 * turn.spent["money"] * each,
    }
