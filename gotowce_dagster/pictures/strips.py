"""Strip plots: every single value of several groups, which a mean would hide."""

import numpy as np
import pandas as pd

from gotowce_dagster.pictures.curves import figure_of, painted

_ROW_INCHES = 0.34
_SPREAD = 0.28


def strips(table: pd.DataFrame, method: str, group: str, value: str, title: str) -> np.ndarray:
    """Plot one line per method, one panel per group, one dot per value, a bar at the median.

    Args:
        table: columns named by method, group and value; values from 0 to 1.

    Returns:
        RGB uint8 (H, W, 3).
    """
    methods = list(dict.fromkeys(table[method]))
    groups = list(dict.fromkeys(table[group]))
    figure, axes = figure_of(len(groups), width=3.9, height=1 + _ROW_INCHES * len(methods))
    for axis, name in zip(axes, groups, strict=True):
        for place, each in enumerate(methods):
            values = table.loc[(table[method] == each) & (table[group] == name), value].to_numpy()
            if not len(values):
                continue
            apart = np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else np.zeros(1)
            axis.scatter(np.sort(values), place + apart, s=14, color="#0072b2", alpha=0.7, linewidths=0)
            axis.plot([np.median(values)] * 2, [place - 0.4, place + 0.4], color="#d55e00", linewidth=2)
        axis.set(title=f"{name} ({table[group].eq(name).sum() // len(methods)} targets)", xlim=(-0.02, 1.02))
        axis.set_yticks(range(len(methods)), methods if axis is axes[0] else [""] * len(methods))
        axis.set_ylim(len(methods) - 0.4, -0.6)
    figure.suptitle(f"{title}: each dot a target, the bar their median", fontsize=10)
    return painted(figure)
