"""Previews of propagated masks: the annotated video, the prompts and a timeline."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.crops import around
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.tables import records
from gotowce_dagster.pictures import text
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.curves import figure_of, painted
from gotowce_dagster.pictures.overlay import draw
from gotowce_dagster.pictures.targets import AMBER, GREEN, RED, Colour
from gotowce_dagster.propagation.evidence import BY_POINTS
from gotowce_dagster.propagation.follow import BACKWARD, FORWARD
from gotowce_dagster.video.decode import Frame

STATES: dict[str, Colour] = {"sure": GREEN, "doubtful": AMBER, "lost": RED}
MEASURES = ("predicted_iou", "stability", "area_change", "motion", "appearance", "detected")
"""Measures from 0 to 1; the weakest is the confidence in a mask."""

_SIDE = 320
_LEAST_PX = 64
_MOST = 24
"""Maximum number of objects in a timeline."""
_GAP_S = 1.0


def annotated(frames: Iterable[Frame], masks: pd.DataFrame) -> Iterator[np.ndarray]:
    """Draw the objects of each frame: mask, id, class and state; lost objects are listed below.

    Args:
        masks: columns of tables.MASKS or PROPAGATED.

    Yields:
        RGB uint8 (H, W, 3), one per frame.
    """
    by_frame = dict(iter(masks.groupby("frame_index")))
    nothing = masks[:0]
    for frame in frames:
        yield with_masks(frame.rgb(), by_frame.get(frame.index, nothing))


def with_masks(image_rgb: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Draw the objects of one frame; each object keeps its colour across frames."""
    with_mask = rows[rows["rle"].notna()]
    objects = with_mask["object_id"].to_numpy()
    masks = [rle.mask_of(row) for row in records(with_mask)]
    detections = from_boxes(xyxy(with_mask), mask=np.stack(masks) if masks else None, class_name=objects)
    states = with_mask["state"].fillna("").map({"doubtful": " ?"}).fillna("")
    captions = [
        f"{one} {name}{state}"
        for one, name, state in zip(objects, with_mask["class_name"], states, strict=True)
    ]
    picture = draw(image_rgb, detections, captions)
    if lost := sorted(rows.loc[rows["state"].eq("lost"), "object_id"]):
        return _footer(picture, f"lost: {', '.join(lost)}")
    return picture


def prompt_grid(
    images: Iterable[tuple[int, np.ndarray]], masks: pd.DataFrame, points: pd.DataFrame, columns: int = 4
) -> np.ndarray:
    """Draw each prompt and the mask it gave as a contact sheet.

    Filled circles are positive points, hollow ones negative. Prompts by a detection have no points.

    Args:
        images: frame_index and frame, RGB uint8 (H, W, 3), of frames with prompts.
        masks: columns of tables.MASKS; propagated rows are left out.
        points: as propagation.points.read_points returns them.
    """
    prompted = masks[~masks["prompt"].isin((FORWARD, BACKWARD))]
    tiles, captions = [], []
    for index, image in images:
        for row in records(prompted[prompted["frame_index"] == index]):
            named = points["frame_index"].eq(index) & (f"{BY_POINTS}/" + points["object_id"]).eq(
                row["object_id"]
            )
            of_object = points[named]
            tiles.append(_prompt_tile(image, row, of_object))
            measure = "" if pd.isna(row["stability"]) else f" · stability {row['stability']:.2f}"
            captions.append(
                f"frame {index} · {row['object_id']} {row['class_name']}\n"
                f"{row['prompt']} · {row['state']}{measure}"
            )
    return contact_sheet(tiles, captions, columns)


def timeline(masks: pd.DataFrame, times_s: pd.Series) -> np.ndarray:
    """Plot the confidence in each object over time, with prompts and losses: RGB uint8 (H, W, 3).

    Args:
        masks: columns of tables.MASKS, of one video.
        times_s: seconds of some frames, indexed by frame_index, ascending.
    """
    objects = list(dict.fromkeys(masks.sort_values("frame_index")["object_id"]))[:_MOST]
    figure, axes = figure_of(1, height=1.2 + 0.75 * max(len(objects), 1), width=11)
    axis = axes[0]
    for place, name in enumerate(reversed(objects)):
        rows = masks[masks["object_id"] == name].sort_values("frame_index")
        time_s = seconds(rows["frame_index"].to_numpy(float), times_s)
        height = place + 0.8 * confidence(rows).to_numpy(float)
        gaps = np.flatnonzero(np.diff(time_s) > _GAP_S) + 1
        axis.plot(np.insert(time_s, gaps, np.nan), np.insert(height, gaps, np.nan), color="#888888", lw=0.8)
        for state, colour in STATES.items():
            in_state = rows["state"].eq(state).to_numpy()
            heights = np.where(state == "lost", place, height) if state == "lost" else height
            axis.scatter(
                time_s[in_state], heights[in_state], s=14, marker="x" if state == "lost" else "o", zorder=3,
                color=[np.array(colour) / 255 * 0.85], label=state if place == 0 else None,
            )  # fmt: skip
        prompted = ~rows["prompt"].isin((FORWARD, BACKWARD)).to_numpy()
        axis.scatter(
            time_s[prompted], np.full(prompted.sum(), place + 0.9), s=22, marker="v", color="#0072b2",
            label="prompt" if place == 0 else None, zorder=3,
        )  # fmt: skip
    axis.set_yticks(np.arange(len(objects)) + 0.4, list(reversed(objects)))
    axis.set(xlabel="seconds", ylim=(-0.15, max(len(objects), 1) + 0.1), title="confidence in each object")
    if objects:
        figure.legend(fontsize=8, ncols=4, loc="outside lower left")
    return painted(figure)


def seconds(frames: np.ndarray, times_s: pd.Series) -> np.ndarray:
    """Interpolate the times of frames, float (n,), from known ones: seconds by frame_index, ascending.

    Frames outside the known range are extrapolated at the rate of the nearest two.
    """
    known, times = times_s.index.to_numpy(float), times_s.to_numpy(float)
    time_s = np.interp(frames, known, times)
    if len(known) > 1:
        first, last = (np.diff(times) / np.diff(known))[[0, -1]]
        time_s += first * np.minimum(frames - known[0], 0) + last * np.maximum(frames - known[-1], 0)
    return time_s


def confidence(masks: pd.DataFrame) -> pd.Series:
    """Compute the weakest measure of each mask, 0 to 1; 0 if it is lost, 1 if no measure is known."""
    weakest = masks[list(MEASURES)].astype(float).min(axis=1).fillna(1.0).clip(0, 1)
    return weakest.where(masks["rle"].notna(), 0.0)


def _prompt_tile(image: np.ndarray, row: dict, points: pd.DataFrame) -> np.ndarray:
    spots = points[["x", "y"]].to_numpy(float)
    boxes = [np.array([[row[side] for side in BOX]], float)] if pd.notna(row["rle"]) else []
    corners = np.concatenate([*(box.reshape(-1, 2) for box in boxes), spots]) if boxes or len(spots) else None
    if corners is None:
        return image
    low, high = corners.min(axis=0), corners.max(axis=0)
    grow = np.maximum((_LEAST_PX - (high - low)) / 2, 0)
    crop = around(np.concatenate([low - grow, high + grow]), 1.6, *image.shape[:2])
    scale = _SIDE / max(crop.x2 - crop.x1, crop.y2 - crop.y1)
    picture = cv2.resize(crop.cut(image), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    if pd.notna(row["rle"]):
        large = cv2.resize(
            crop.cut(rle.mask_of(row)).astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST
        )
        tint = picture.copy()
        tint[large > 0] = STATES.get(row["state"], GREEN)
        picture = cv2.addWeighted(tint, 0.35, picture, 0.65, 0)
        outlines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, STATES.get(row["state"], GREEN), 1, cv2.LINE_AA)
    for (x, y), label in zip(crop.to_crop(spots) * scale, points["label"], strict=True):
        at = (round(x), round(y))
        cv2.circle(picture, at, 7, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.circle(picture, at, 7, (255, 255, 255), -1 if label else 2, cv2.LINE_AA)
    return picture


def _footer(picture: np.ndarray, line: str) -> np.ndarray:
    size = max(12, picture.shape[0] // 40)
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    place = (8, canvas.height - round(1.7 * size))
    line = text.fit(line, size, canvas.width - 24)
    pen.rectangle(pen.textbbox(place, line, font=text.font(size)), fill=(0, 0, 0))
    pen.text(place, line, fill=RED, font=text.font(size))
    return np.asarray(canvas)
