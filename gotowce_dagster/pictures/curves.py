"""Curves and bars, drawn with matplotlib without its global state."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

COLOURS = [
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
]  # Okabe and Ito: safe for colour-blind readers


def training_curves(history: pd.DataFrame) -> np.ndarray:
    """Plot losses and scores by epoch, RGB uint8 (H, W, 3).

    Args:
        history: one row per epoch; columns train_*_loss, val_*_loss, precision, recall, mAP50, mAP50_95.
    """
    losses = [name for name in history.columns if name.endswith("_loss")]
    panels = {
        "loss": {name: history[name] for name in losses},
        "score on the validation frames": {
            name: history[name] for name in ("precision", "recall", "mAP50", "mAP50_95")
        },
    }
    figure, axes = figure_of(len(panels))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
            axis.plot(
                history["epoch"], values, label=name, color=colour, marker="." if len(values) < 40 else None
            )
        axis.set(title=title, xlabel="epoch")
        axis.legend(fontsize=8)
    axes[0].set_yscale("log")
    axes[1].set_ylim(0, 1.02)
    return painted(figure)


def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Plot precision over recall for several series, RGB uint8 (H, W, 3).

    Args:
        curves: recall and precision, each (n,), by name.
    """
    figure, (axis,) = figure_of(1)
    for (name, (recall, precision)), colour in zip(curves.items(), COLOURS * 3, strict=False):
        axis.plot(recall, precision, label=name, color=colour, drawstyle="steps-pre")
    axis.set(
        xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02), title="precision over recall"
    )
    _legend(figure)
    return painted(figure)


def bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], title: str) -> np.ndarray:
    """Plot scores from 0 to 1 as grouped bars, RGB uint8 (H, W, 3).

    Args:
        groups: labels along the axis, for instance videos.
        series: for each name one value per group; NaN draws nothing.
    """
    figure, (axis,) = figure_of(1)
    places = np.arange(len(groups))
    width = 0.8 / max(len(series), 1)
    for number, (name, values) in enumerate(series.items()):
        drawn = axis.bar(places + number * width, values, width * 0.95, label=name, color=COLOURS[number % 6])
        axis.bar_label(drawn, fmt="%.2f", fontsize=7)
    axis.set_xticks(places + width * (len(series) - 1) / 2, groups)
    axis.set(title=title, ylim=(0, 1.1))
    _legend(figure)
    return painted(figure)


def figure_of(panels: int, width: float = 5.8, height: float = 4.1):
    """Create a figure with axes side by side, each of a size in inches; ``painted`` renders it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * panels, height), dpi=110, layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure) -> None:
    """Place the legend below the axes, where it hides nothing."""
    if any(axis.get_legend_handles_labels()[0] for axis in figure.axes):
        figure.legend(fontsize=8, loc="outside lower center", ncols=2)


def painted(figure) -> np.ndarray:
    """Render a figure as RGB uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
