"""Quality gates from masks to labels: every candidate is scored by rules and gets a verdict with reasons.

A rule maps the table of candidates to one score each, from 0 (bad) to 1 (good); see labels/rules.py.
params.yaml sets which rules are on, and their thresholds. A candidate is accepted only if it passes every
rule that is on. Its quality is its lowest score among them: a mean would hide one bad score behind several
good ones.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import LabelsParams, RuleParams
from gotowce_dagster.core.boxes import BOX, DESIGNATOR, KEY
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import records
from gotowce_dagster.labels.rules import RULES

NO_MASK = "no_mask"
_KEY = ["video", *KEY]
_COLUMNS = [
    *_KEY, "object_id", "class_name", *BOX, *DESIGNATOR, "rle", "height",
    "width", "confidence", "quality", "verdict", "reasons", "scores",
]  # fmt: skip


def clean(
    detections: pd.DataFrame,
    masks: pd.DataFrame,
    frames: pd.DataFrame,
    params: LabelsParams,
    silent: Mapping[int, Collection[str]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Judge every detection, and every mask propagated to a frame without a detection of its object.

    Args:
        detections, masks, frames: Columns of tables.DETECTIONS, MASKS and FRAMES of one video, with any
            number of frames.
        silent: frame_index -> detectors without a usable response for the frame. Their missing vote does not
            count against a detection.

    Returns:
        Columns of tables.LABELS: one row per detection, in their order, then one per mask propagated to a
        kept frame. A detection without a mask is rejected for ``no_mask``: its box is its designator's and
        its object_id is empty. Its height and width are 0 if the video has no mask at all.

    Raises:
        InputError: params.yaml names a rule that does not exist.
    """
    if unknown := sorted(set(params.rules) - set(RULES)):
        raise InputError(
            f"params.yaml: cleaned_labels.rules: no rule named {', '.join(unknown)}; "
            f"known: {', '.join(RULES)}"
        )
    candidates = _candidates(detections, masks, frames)
    candidates["silent"] = [frozenset(silent.get(index, ())) for index in candidates["frame_index"]]
    masked = candidates[candidates["rle"].notna()]
    verdicts = pd.concat(
        [
            judge(score(masked, params.rules), params.rules),
            _without_mask(candidates.index.difference(masked.index)),
        ]
    )
    # Without rows, pandas would infer a number type for the lists.
    verdicts = verdicts.astype({"verdict": str, "reasons": object, "scores": object})
    return candidates.join(verdicts)[_COLUMNS]


def score(candidates: pd.DataFrame, rules: dict[str, RuleParams]) -> pd.DataFrame:
    """Score candidates: one column per rule that is not off, scores from 0 to 1."""
    columns = {
        name: np.clip(np.asarray(RULES[name](candidates), float), 0, 1)
        for name, rule in rules.items()
        if rule.mode != "off"
    }
    return pd.DataFrame(columns, index=candidates.index)


def judge(scores: pd.DataFrame, rules: dict[str, RuleParams]) -> pd.DataFrame:
    """Judge candidates by their scores; returns columns verdict, quality, reasons and scores."""
    deciding = scores[[name for name in scores if rules[str(name)].mode == "on"]]
    failed = deciding.lt(pd.Series({name: rules[str(name)].threshold for name in deciding}))
    rejecting = [name for name in deciding if rules[str(name)].fails == "reject"]
    verdict = np.where(failed.any(axis=1), "review", "accept")
    verdict[failed[rejecting].any(axis=1)] = "reject"
    reasons = [
        sorted((name for name in row if bad[name]), key=lambda name: row[name])
        for row, bad in zip(records(deciding), records(failed), strict=True)
    ]
    return pd.DataFrame(
        {
            "verdict": verdict,
            "quality": deciding.min(axis=1).fillna(1.0),
            "reasons": reasons,
            "scores": records(scores),
        },
        index=scores.index,
    )


def _candidates(detections: pd.DataFrame, masks: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """One row per candidate, with all inputs of the rules; the mask's columns are null without a mask."""
    kept = frames[frames["kept"]]
    timed = frames[["frame_index", "time_s"]].assign(
        relative_sharpness=frames["sharpness"] / kept["sharpness"].median()
    )
    designators = detections.rename(columns=dict(zip(BOX, DESIGNATOR, strict=True)))
    designators = designators.drop(columns="prompt")
    masks = masks[masks["rle"].notna()]
    with_masks = designators.merge(
        masks.drop(columns="class_name"), on=_KEY, how="left", validate="one_to_one"
    )
    is_propagated = ~pd.MultiIndex.from_frame(masks[_KEY]).isin(pd.MultiIndex.from_frame(detections[_KEY]))
    propagated = masks[is_propagated & masks["frame_index"].isin(kept["frame_index"])]
    table = pd.concat([with_masks, propagated], ignore_index=True) if len(propagated) else with_masks
    table = table.merge(timed, on="frame_index", how="left", validate="many_to_one")
    for side, of_mark in zip(BOX, DESIGNATOR, strict=True):
        table[side] = table[side].fillna(table[of_mark])
    video_size = masks[["height", "width"]].max().fillna(0).astype(int)
    return table.fillna({"height": video_size["height"], "width": video_size["width"], "object_id": ""})


def _without_mask(index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "verdict": "reject",
            "quality": 0.0,
            "reasons": [[NO_MASK] for _ in index],
            "scores": [{NO_MASK: 0.0} for _ in index],
        },
        index=index,
    )
