"""What several detectors make of the same frames, side by side."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.curves import figure_of, painted
from gotowce_dagster.pictures.overlay import closeup, draw

_WIDTH = 1300
_COLUMNS = 4
_LEAST_PX = 120
"""A close-up shows so many pixels of the frame at least, a side."""
_LEGEND_LETTERS = 110
"""That many stand beside each other in the scatter's legend."""
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
_MARKERS = "osD^vP"


def scatter(table: pd.DataFrame) -> np.ndarray | None:
    """F1 at IoU 0.5 against the seconds of a frame and, where anything is paid, against money.

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
) -> list[tuple[str, np.ndarray]]:
    """The same frames under every detector: a row a frame, a column a detector, four at most on a sheet.

    Args:
        images: RGB uint8 (H, W, 3) by frame.
        found: boxes by frame, by detector; where a detector has not seen a frame, or gave no answer,
            its place says so.
        truth: xyxy (n, 4) that are known to be there, drawn white.

    Returns:
        Captions and sheets: for every four detectors whole frames, then close-ups.
    """
    names = list(found)
    # All detectors look close at one place: what is there, else the surest that anyone has found.
    focus = {
        frame: _focus(truth[frame], [found[name][frame] for name in names if frame in found[name]])
        for frame in images
    }
    near = {frame: image for frame, image in images.items() if focus[frame] is not None}
    sheets = []
    for start in range(0, len(names), _COLUMNS):
        some = {name: found[name] for name in names[start : start + _COLUMNS]}
        sheets.append(("Whole frames", _sheet(images, some, truth, dict.fromkeys(images))))
        if near:
            sheets.append(("Close up", _sheet(near, some, truth, focus)))
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
            tiles.append(_look(image, boxes, truth[frame], focus[frame], width))
            seen = "has no answer here" if boxes is None else f"{len(boxes)} found"
            captions.append(f"{name}\n{seen}\n{frame[0]} frame {frame[1]}")
    return contact_sheet(tiles, captions, columns=len(found), tile_width=width)


def worst_sheet(cases: Sequence[Case], images: Mapping[tuple[str, int], np.ndarray]) -> np.ndarray:
    """Close-ups of all that was found in some frames, and of all that is there, in white.

    Args:
        images: RGB uint8 (H, W, 3) by frame.
    """
    tiles, captions = [], []
    for case in cases:
        both = np.concatenate([case.truth.xyxy, case.found.xyxy, case.ignored]).astype(float)
        focus = np.concatenate([both[:, :2].min(axis=0), both[:, 2:].max(axis=0)]) if len(both) else None
        image = images[case.video, case.frame_index]
        tiles.append(_look(image, case.found, case.truth.xyxy, focus, _WIDTH // _COLUMNS - 8))
        captions.append(
            f"{case.video} frame {case.frame_index}\n{len(case.truth)} there, {len(case.found)} found"
        )
    return contact_sheet(tiles, captions, columns=_COLUMNS, tile_width=_WIDTH // _COLUMNS - 8)


def _look(
    image: np.ndarray, found: sv.Detections | None, truth: np.ndarray, focus: np.ndarray | None, width: int
) -> np.ndarray:
    """The frame, or what lies around ``focus``, at the size it is shown at, so that lines stay readable.

    Args:
        found: None makes it dark.
        focus: xyxy (4,), or None for all of the frame.
    """
    shown = sv.Detections.empty() if found is None else found
    if focus is None:
        scale, origin = width / image.shape[1], np.zeros(4)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = draw(small, _scaled(shown, scale), _captions(shown))
    else:
        side = float((focus[2:] - focus[:2]).max())
        margin = max(0.25, (_LEAST_PX / side - 1) / 2)
        picture = closeup(image, shown, _captions(shown), box=focus, side=width, margin=margin)
        reach = max(8.0, side * (0.5 + margin))  # as closeup reckons
        scale, origin = width / (2 * reach), np.tile((focus[:2] + focus[2:]) / 2 - reach, 2)
    picture = _framed(picture, (truth - origin) * scale)
    return picture // 3 if found is None else picture


def _framed(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """With a thin white frame just outside each box."""
    picture = image.copy()
    for x1, y1, x2, y2 in np.round(truth).astype(int).tolist():
        cv2.rectangle(picture, (x1 - 3, y1 - 3), (x2 + 2, y2 + 2), (255, 255, 255), 1)
    return picture


def _scaled(found: sv.Detections, scale: float) -> sv.Detections:
    return sv.Detections(xyxy=found.xyxy * scale, data=dict(found.data))


def _captions(found: sv.Detections) -> list[str]:
    names = found.data.get("class_name", np.full(len(found), ""))
    return [f"{name} {value:.2f}".strip() for name, value in zip(names, _confidence(found), strict=True)]


def _focus(truth: np.ndarray, found: Sequence[sv.Detections]) -> np.ndarray | None:
    """What a close-up looks at: all that is there, else the surest that anyone found."""
    if len(truth):
        return np.concatenate([truth[:, :2].min(axis=0), truth[:, 2:].max(axis=0)])
    surest = [
        (_confidence(boxes).max(), boxes.xyxy[_confidence(boxes).argmax()]) for boxes in found if len(boxes)
    ]
    return max(surest, key=lambda one: one[0])[1].astype(float) if surest else None


def _confidence(found: sv.Detections) -> np.ndarray:
    return np.ones(len(found)) if found.confidence is None else found.confidence
