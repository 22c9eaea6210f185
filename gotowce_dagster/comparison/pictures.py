"""Comparison of several detectors on the same frames, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core.boxes import centres
from gotowce_dagster.core.detections import class_names, confidences
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.curves import figure_of, painted
from gotowce_dagster.pictures.overlay import closeup, draw

_WIDTH = 1300
_COLUMNS = 4
_LEAST_PX = 120
"""Minimum side of a close-up, in pixels of the frame."""
_LEGEND_LETTERS = 110
"""Maximum characters per row of the scatter plot's legend."""
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
_MARKERS = "osD^vP"


def scatter(table: pd.DataFrame) -> np.ndarray | None:
    """Plot F1 at IoU 0.5 over seconds per frame and, if any detector is paid, over cost.

    Args:
        table: rows of compare.TABLE.

    Returns:
        RGB uint8 (H, W, 3); None where nothing was scored.
    """
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    rows = table[table["f1_50"].notna() & table["median_s"].notna()]
    if rows.empty:
        return None
    panels = {"median_s": "seconds a frame"}
    if rows["money_per_1000"].gt(0).any():
        panels["money_per_1000"] = "US dollars for 1,000 frames"
    figure, axes = figure_of(len(panels), width=7.5, height=4.6)
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        shown = rows[rows[column] > 0]
        for number, row in enumerate(shown.to_dict("records")):
            f1 = row["f1_50"]
            reach = [[max(0.0, f1 - row["f1_50_low"])], [max(0.0, row["f1_50_high"] - f1)]]
            axis.errorbar(
                row[column],
                f1,
                yerr=None if np.isnan(reach).any() else reach,
                label=f"{row['name']} ({row['truth']})",
                color=_COLOURS[number % len(_COLOURS)],
                marker=_MARKERS[number // len(_COLOURS) % len(_MARKERS)],
                markersize=9,
                capsize=4,
                linestyle="none",
            )
        axis.set(xlabel=title, ylabel="F1 at IoU 0.5", xscale="log", ylim=(-0.03, 1.05))
        if len(shown):
            axis.set_xlim(shown[column].min() / 2, shown[column].max() * 2)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
    handles = dict(zip(*axes[0].get_legend_handles_labels()[::-1], strict=True))
    columns = max(1, min(3, _LEGEND_LETTERS // max(map(len, handles))))
    figure.legend(handles.values(), handles, fontsize=8, loc="outside lower center", ncols=columns)
    return painted(figure)


def side_by_side(
    images: Mapping[tuple[str, int], np.ndarray],
    found: Mapping[str, Mapping[tuple[str, int], sv.Detections]],
    truth: Mapping[tuple[str, int], np.ndarray],
    columns: int = _COLUMNS,
) -> list[tuple[str, np.ndarray]]:
    """Draw the same frames for every detector: one row per frame, one column per detector.

    Args:
        images: RGB uint8 (H, W, 3) by frame.
        found: detections by frame, by detector; a frame that a detector has not seen, or gave no response
            for, is marked.
        truth: ground truth boxes, xyxy (n, 4), drawn white.
        columns: detectors per sheet.

    Returns:
        Captions and sheets: for the detectors of each sheet the whole frames, then close-ups.
    """
    names = list(found)
    # All detectors get the same close-up: ground truth, else the most confident detection of any of them.
    focus = {
        frame: _focus(truth[frame], [found[name][frame] for name in names if frame in found[name]])
        for frame in images
    }
    with_focus = {frame: image for frame, image in images.items() if focus[frame] is not None}
    sheets = []
    for start in range(0, len(names), columns):
        some = {name: found[name] for name in names[start : start + columns]}
        sheets.append(("Whole frames", _sheet(images, some, truth, dict.fromkeys(images))))
        if with_focus:
            sheets.append(("Close up", _sheet(with_focus, some, truth, focus)))
    return sheets


def _sheet(
    images: Mapping[tuple[str, int], np.ndarray],
    found: Mapping[str, Mapping[tuple[str, int], sv.Detections]],
    truth: Mapping[tuple[str, int], np.ndarray],
    focus: Mapping[tuple[str, int], np.ndarray | None],
) -> np.ndarray:
    width = _WIDTH // len(found) - 8
    tiles, captions = [], []
    for frame, image in images.items():
        for name, of_frames in found.items():
            boxes = of_frames.get(frame)
            tiles.append(_tile(image, boxes, truth[frame], focus[frame], width))
            count = "no response for this frame" if boxes is None else f"{len(boxes)} detected"
            captions.append(f"{name}\n{count}\n{frame[0]} frame {frame[1]}")
    return contact_sheet(tiles, captions, columns=len(found), tile_width=width)


def worst_sheet(cases: Sequence[Case], images: Mapping[tuple[str, int], np.ndarray]) -> np.ndarray:
    """Draw close-ups of the detections in some frames, with ground truth in white.

    Args:
        images: RGB uint8 (H, W, 3) by frame.
    """
    tiles, captions = [], []
    for case in cases:
        both = np.concatenate([case.truth.xyxy, case.found.xyxy, case.ignored]).astype(float)
        focus = np.concatenate([both[:, :2].min(axis=0), both[:, 2:].max(axis=0)]) if len(both) else None
        image = images[case.video, case.frame_index]
        tiles.append(_tile(image, case.found, case.truth.xyxy, focus, _WIDTH // _COLUMNS - 8))
        counts = f"{len(case.truth)} in ground truth, {len(case.found)} detected"
        captions.append(f"{case.video} frame {case.frame_index}\n{counts}")
    return contact_sheet(tiles, captions, columns=_COLUMNS, tile_width=_WIDTH // _COLUMNS - 8)


def _tile(
    image: np.ndarray, found: sv.Detections | None, truth: np.ndarray, focus: np.ndarray | None, width: int
) -> np.ndarray:
    """Draw the frame, or the area around ``focus``, at its final size, so that lines stay readable.

    Args:
        found: detections; None darkens the picture.
        focus: xyxy (4,), or None for the whole frame.
    """
    shown = sv.Detections.empty() if found is None else found
    if focus is None:
        scale, origin = width / image.shape[1], np.zeros(4)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = draw(small, replace(shown, xyxy=shown.xyxy * scale), _captions(shown))
    else:
        side = float((focus[2:] - focus[:2]).max())
        margin = max(0.25, (_LEAST_PX / side - 1) / 2)
        picture = closeup(image, shown, _captions(shown), box=focus, side=width, margin=margin)
        reach = max(8.0, side * (0.5 + margin))  # as in closeup
        scale, origin = width / (2 * reach), np.tile(centres(focus) - reach, 2)
    picture = _framed(picture, (truth - origin) * scale)
    return picture // 3 if found is None else picture


def _framed(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Draw a thin white frame just outside each box."""
    picture = image.copy()
    for x1, y1, x2, y2 in np.round(truth).astype(int).tolist():
        cv2.rectangle(picture, (x1 - 3, y1 - 3), (x2 + 2, y2 + 2), (255, 255, 255), 1)
    return picture


def _captions(found: sv.Detections) -> list[str]:
    return [
        f"{name} {value:.2f}".strip()
        for name, value in zip(class_names(found), confidences(found), strict=True)
    ]


def _focus(truth: np.ndarray, found: Sequence[sv.Detections]) -> np.ndarray | None:
    """The area of a close-up: all ground truth boxes, else the most confident detection."""
    if len(truth):
        return np.concatenate([truth[:, :2].min(axis=0), truth[:, 2:].max(axis=0)])
    most_confident = [
        (confidences(boxes).max(), boxes.xyxy[confidences(boxes).argmax()]) for boxes in found if len(boxes)
    ]
    return max(most_confident, key=lambda one: one[0])[1].astype(float) if most_confident else None
