"""Prompt inputs: the same detectors shown raw, thresholded, cropped and tiled frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gotowce_dagster.comparison.compare import TABLE, Comparison
from gotowce_dagster.config.detector_settings import DetectorSettings, InputSettings
from gotowce_dagster.config.params import PromptInputsParams
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.inputs import Piece, prepared
from gotowce_dagster.detectors.registry import build_detector


@dataclass(frozen=True)
class Variant:
    """A detector with one of the inputs."""

    detector: str
    input: str
    settings: DetectorSettings

    @property
    def name(self) -> str:
        return f"{self.detector}, {self.input}"


def variants(params: PromptInputsParams) -> list[Variant]:
    """Every detector with every input, the baseline of each detector first."""
    names = sorted(params.inputs, key=lambda name: name != params.baseline)
    return [
        Variant(name, shown, settings.model_copy(update={"input": params.inputs[shown]}))
        for name, settings in params.detectors.items()
        for shown in names
    ]


def results(comparison: Comparison, shown: Sequence[Variant]) -> pd.DataFrame:
    """The comparison's table with the difference of each input to the baseline of its detector.

    Returns:
        One row per variant: ``detector``, ``input``, the columns of compare.TABLE; ``gain`` of F1 at IoU 0.5
        over the baseline, with ``gain_low``, ``gain_high`` and ``better``, the share of bootstrap draws in
        which it is better; ``slower``, the ratio of the seconds per frame. NaN for the baseline, and where
        one of both has no score.
    """
    table = comparison.table.set_index("name", drop=False)
    pairs = comparison.pairs.set_index(["first", "second"])
    baseline: dict[str, Variant] = {}
    rows = []
    for one in shown:
        first = baseline.setdefault(one.detector, one)
        row = {"detector": one.detector, "input": one.input, **table.loc[one.name, TABLE.names]}
        gain = dict.fromkeys(("gain", "gain_low", "gain_high", "better", "slower"), np.nan)
        if (first.name, one.name) in pairs.index:
            pair = pairs.loc[(first.name, one.name)]
            # Not -x, which makes a negative zero.
            gain["gain"], gain["better"] = 0 - pair["difference"], 1 - pair["first_better"]
            gain["gain_low"], gain["gain_high"] = 0 - pair["high"], 0 - pair["low"]
        seconds = table.loc[[first.name, one.name], "median_s"].astype(float).tolist()
        if one is not first and seconds[0] > 0:
            gain["slower"] = seconds[1] / seconds[0]
        rows.append(row | gain)
    return pd.DataFrame(rows)


def conclusion(table: pd.DataFrame, detector: str) -> str:
    """One sentence: the input with which a detector is best, against the baseline, and its cost.

    Args:
        table: from results, or read from its CSV.
    """
    mine = table[table["detector"] == detector]
    first, scored = mine.iloc[0], mine[mine["f1_50"].notna()]
    if scored.empty:
        counts = ", ".join(
            f"{row['boxes']} on {row['input']}" for row in mine[mine["frames"] > 0].to_dict("records")
        )
        return f"{detector} could not be evaluated; boxes: {counts or 'none, because it did not run'}."
    frames = f"in {int(scored['scored_frames'].max())} frames"
    if not scored["f1_50"].any():
        inputs = ", ".join(scored["input"])
        return f"{detector} finds no {first['truth']} at IoU 0.5 {frames}, on none of {inputs}."
    best = scored.loc[scored["f1_50"].idxmax()]
    score = f"F1 {best['f1_50']:.2f}{_range(best['f1_50_low'], best['f1_50_high'])} {frames}"
    if best["input"] == first["input"]:
        return (
            f"{detector} finds {first['truth']}s best on {best['input']}: {score}; no other input is better."
        )
    sentence = f"{detector} finds {first['truth']}s best on {best['input']}: {score}"
    if pd.isna(best["gain"]):
        return f"{sentence}; {first['input']} has no score."
    sentence += (
        f", {best['gain']:+.2f}{_range(best['gain_low'], best['gain_high'], '+.2f')} against "
        f"{first['input']} ({first['f1_50']:.2f})"
    )
    if pd.notna(best["slower"]):
        sentence += f", at {best['slower']:.2g} times its seconds per frame"
    is_sure = best["gain_low"] > 0
    return f"{sentence}." if is_sure else f"{sentence}; the difference may be chance."


def _range(low: float, high: float, shape: str = ".2f") -> str:
    return "" if pd.isna(low) or pd.isna(high) else f" ({low:{shape}} to {high:{shape}})"


def seen(image: np.ndarray, settings: InputSettings | None, profile: Profile) -> list[Piece]:
    """The pieces of a frame that a detector sees with an input.

    Args:
        image: RGB uint8 (H, W, 3).

    Raises:
        MissingWeightsError: the detector of ``crop.around`` has no weights here.
    """
    changed = settings or InputSettings()
    around = changed.crop.around if changed.crop else None
    boxes = None if around is None else build_detector("around", around, profile).detect([image])[0].xyxy
    marks = [colour for designator in profile.designators for colour in designator.colours]
    return prepared(image, changed, marks, boxes)
