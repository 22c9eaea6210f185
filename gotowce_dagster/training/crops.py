"""Training crops: small images at native scale around targets, with and without their marks.

Whole frames teach a detector three wrong things: that a target has a mark, that unmarked objects are
background, and, when resized, that targets are smaller than they are. A crop around a target contains little
unreviewed area; in most crops the mark is erased; and targets cut out along their masks are pasted elsewhere
in frames of the same game, so that few labels give many targets without marks (Ghiasi et al., Simple
Copy-Paste, CVPR 2021). Regions that may contain an unreviewed target are painted over instead of being
background.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.labels.export import label_file, read_boxes, read_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.distractors import distract, read_distractors
from gotowce_dagster.training.fly_bys import read_fly_bys
from gotowce_dagster.training.hud import hud_panels
from gotowce_dagster.training.look_alikes import in_crowds
from gotowce_dagster.training.marks_pasted import draw_mark, read_marks, recoloured, room_around
from gotowce_dagster.training.pasting import (
    GAP,
    Cutout,
    Scene,
    no_boxes,
    of_other_games,
    paste,
    read_cutouts,
    shrunk,
    touches,
)
from gotowce_dagster.training.standouts import standouts, usual_picture

_VISIBLE = 0.5
"""A target with a smaller share of its box inside a crop is painted over instead of labelled."""
_MEDIAN_OF = 25
"""Frames of a video that tell what its places usually show."""
_LEAST_VAL = 16
"""Minimum number of validation crops."""
_REMEMBERED = 64
"""Images kept in memory."""
_AWAY = ("fly-by", "panel", "")
"""What crops away from targets show in equal parts, if the game has it; empty: anything."""
_DISTRACTORS = 2
"""Maximum number of fly-bys pasted into a crop."""
_GREY = 114  # with which ultralytics fills up pictures
_AROUND_TARGET = 0.7
"""Share of the marks that are drawn around a target; the others surround nothing."""


@dataclass(frozen=True, eq=False)
class Proposed:
    """Proposals of an earlier model in one frame, beside its labels."""

    boxes: np.ndarray = field(default_factory=no_boxes)
    """xyxy (n, 4): confident enough to be labels."""
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    doubtful: np.ndarray = field(default_factory=no_boxes)
    """xyxy (m, 4): neither confident enough to be labels nor to be background."""
    still: np.ndarray = field(default_factory=no_boxes)
    """xyxy (k, 4): static, so part of the HUD and background."""


Proposals = Mapping[tuple[str, int], Proposed]
"""By (video, frame_index)."""


def crop_scene(scene: Scene, x: int, y: int, px: int) -> Scene:
    """The square of ``px`` pixels a side whose top left corner is at (x, y).

    Doubtful regions and truncated targets are painted over, except where they overlap a target that stays.
    """
    image = scene.image[y : y + px, x : x + px].copy()
    size = np.array([image.shape[1], image.shape[0]] * 2)
    origin = np.array([x, y, x, y])
    moved = scene.boxes - origin
    inside = np.clip(moved, 0, size)
    share = _area(inside) / np.maximum(_area(moved), 1e-9)
    kept = share >= _VISIBLE
    hidden = np.concatenate([moved[~kept & (share > 0)], scene.doubtful - origin])
    for box in hidden:
        _paint_over(image, box, inside[kept])
    return Scene(image, inside[kept], scene.classes[kept])


def crop_side(dataset: Path, provenance: pd.DataFrame, params: CropParams) -> int:
    """Side of the crops in pixels, a multiple of 32: at least twice that of nearly all targets."""
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] == "as-is")]
    if rows.empty:
        return params.px
    largest = max(high for _, high in target_sides(dataset, provenance).values())
    return max(params.px, int(np.ceil(2 * largest / 32)) * 32)


def crop_count(provenance: pd.DataFrame, params: CropParams) -> int:
    """Number of training crops: so many per frame with a label, and at most ``count``."""
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] == "as-is")]
    return min(params.count, params.per_frame * max(int((rows["objects"] > 0).sum()), 1))


def write_crops(
    dataset: Path,
    provenance: pd.DataFrame,
    target: Path,
    params: CropParams,
    *,
    seed: int,
    proposals: Proposals | None = None,
) -> pd.DataFrame:
    """Write crops of the train and val splits as a dataset that ultralytics reads.

    Validation crops have no pasted targets and no proposals, only labels.

    Args:
        dataset: folder with images, labels, cutouts and unknown frames; only read.
        provenance: rows of tables.PROVENANCE of it.
        target: folder to fill; data.yaml is not written.

    Returns:
        One row per crop: image, split, video, frame_index, kind, x and y of its upper left corner in the
        frame, labels (labelled and proposed targets in it) and pasted (targets pasted into it).
    """
    known = dict(proposals or {})
    maker = _Maker(dataset, provenance, params, known)
    rows = []
    total = crop_count(provenance, params)
    for split, count in (("train", total), ("val", max(total // 8, _LEAST_VAL))):
        for kind in ("images", "labels"):
            (target / kind / split).mkdir(parents=True)
        rng = np.random.default_rng([seed, split == "val"])
        frames = maker.frames(split)
        for number in range(count):
            crop, record = maker.make(frames, number, split, rng)
            crop = _filled_up(crop, params.px)
            image = f"images/{split}/{number:06d}.jpg"
            write_picture(crop.image, target / image, quality=95)
            label_file(target, image).write_text(_lines(crop), encoding="utf-8")
            rows.append({"image": image, "split": split, **record})
    return pd.DataFrame(rows)


class _Maker:
    """Crops of one dataset."""

    def __init__(
        self, dataset: Path, provenance: pd.DataFrame, params: CropParams, proposals: Proposals
    ) -> None:
        self._dataset, self._params, self._proposals = dataset, params, proposals
        self._rows = provenance
        erased = provenance[provenance["kind"] == "erased"]
        self._erased = {(r.video, r.frame_index): r.image for r in erased.itertuples()}
        self._cutouts: dict[str, list[list[Cutout]]] = {}
        profiles = dict(zip(provenance["video"], provenance["profile"], strict=True))
        for video, some in read_cutouts(dataset).items():
            self._cutouts.setdefault(profiles[video], []).append(some)
        self._read: dict[str, Scene] = {}
        self._usual: dict[str, np.ndarray] = {}
        self._standouts: dict[tuple[str, int], np.ndarray] = {}
        self._sides = target_sides(dataset, provenance)
        self._hud = hud_panels(dataset, provenance)
        self._crowds = in_crowds(dataset, provenance) if params.standouts else set()
        self._fly_bys = read_fly_bys(dataset)
        self._distractors = read_distractors(dataset, provenance, self._fly_bys)
        self._marks = read_marks(dataset, provenance) if params.marked else {}

    def frames(self, split: str) -> dict[str, list[list[dict]]]:
        """Frames of a split by profile and video, so that profiles and videos are drawn with equal weight."""
        rows = self._rows[(self._rows["split"] == split) & (self._rows["kind"] != "erased")]
        if split == "val":
            rows = rows[rows["kind"] == "as-is"]
        return {
            str(profile): [some.to_dict("records") for _, some in of_game.groupby("video")]
            for profile, of_game in rows.groupby("profile")
        }

    def make(
        self, frames: dict[str, list[list[dict]]], number: int, split: str, rng: np.random.Generator
    ) -> tuple[Scene, dict]:
        """One crop, and its row of crops.csv."""
        params, trains = self._params, split == "train"
        profile = list(frames)[number % len(frames)]
        away = trains and rng.random() < params.away
        subject = rng.choice(_AWAY) if away else ""
        videos = frames[profile]
        if not away or subject == "fly-by":
            # Around a target, so from frames with one; or around what flies by.
            shows = self._has_fly_by if away else self._has_target
            videos = [some for rows in videos if (some := [row for row in rows if shows(row)])]
            videos = videos or frames[profile]
        rows = videos[rng.integers(len(videos))]
        row = rows[rng.integers(len(rows))]
        key = (row["video"], row["frame_index"])
        image = row["image"]
        kind = row["kind"]
        if key in self._erased and rng.random() < params.erased:
            image, kind = self._erased[key], "erased"
        scene = self._scene(image, row["kind"] == "unknown")
        proposed = self._proposals.get(key) if trains else None
        if proposed is None and not row["reviewed"]:
            scene = Scene(scene.image, scene.boxes, scene.classes, self._stand_out(row))
        elif proposed is not None:
            scene = Scene(
                scene.image,
                np.concatenate([scene.boxes, proposed.boxes]),
                np.concatenate([scene.classes, proposed.classes]),
                proposed.doubtful,
            )
        px = min(params.px, *scene.image.shape[:2])
        mistaken = no_boxes() if proposed is None or not away else proposed.still
        hud = self._hud.get(profile)
        if subject == "fly-by" and self._has_fly_by(row):
            mistaken = self._fly_bys[key]
        if subject == "panel" and hud is not None and hud.any():
            mistaken = _somewhere_in(hud, rng)
        x, y = _corner(scene, px, mistaken if away else scene.boxes, rng)
        crop = crop_scene(scene, x, y, px)
        before = len(crop.boxes)
        hud = None if hud is None else hud[y : y + px, x : x + px]
        if trains and (distractors := self._distractors.get(profile)):
            for _ in range(rng.integers(_DISTRACTORS + 1)):
                crop = distract(crop, distractors[rng.integers(len(distractors))], params, rng, hud)
        if trains and profile in self._cutouts:
            for _ in range(rng.integers(params.pasted[0], params.pasted[1] + 1)):
                crop = self._marked(profile, paste(crop, self._cutout(profile, rng), params, rng, hud), rng)
        record = {"video": row["video"], "frame_index": row["frame_index"], "kind": kind, "x": x, "y": y}
        record |= {"labels": before, "pasted": len(crop.boxes) - before}
        return crop, record

    def _marked(self, profile: str, crop: Scene, rng: np.random.Generator) -> Scene:
        """The crop, sometimes with a mark in another colour around a target or around nothing."""
        if profile not in self._marks or rng.random() >= self._params.marked:
            return crop
        marks = self._marks[profile]
        mark = recoloured(marks[rng.integers(len(marks))], rng)
        if len(crop.boxes) and rng.random() < _AROUND_TARGET:
            return draw_mark(crop, mark, crop.boxes[-1], room_around(rng))
        size = mark.target[2:] - mark.target[:2]
        corner = rng.uniform(-size / 2, np.array(crop.image.shape[1::-1]) - size / 2)
        return draw_mark(crop, mark, np.concatenate([corner, corner + size]))

    def _cutout(self, profile: str, rng: np.random.Generator) -> Cutout:
        """A cutout of the game, or one of another game at its size."""
        own = _one_of(self._cutouts[profile], rng)
        if rng.random() < self._params.foreign and (others := of_other_games(self._cutouts, profile, own)):
            return shrunk(_one_of(others, rng), own.long_px)
        return own

    def _stand_out(self, row: Mapping) -> np.ndarray:
        """Possible targets in a frame that no model has searched, xyxy (n, 4)."""
        video, key = row["video"], (row["video"], row["frame_index"])
        if not self._params.standouts:
            return no_boxes()
        if key not in self._standouts:
            if video not in self._usual:
                rows = self._rows[(self._rows["video"] == video) & (self._rows["kind"] != "erased")]
                some = np.unique(np.linspace(0, len(rows) - 1, min(_MEDIAN_OF, len(rows))).astype(int))
                self._usual[video] = usual_picture(
                    [read_rgb(self._dataset / image) for image in rows["image"].iloc[some]]
                )
            # Without its marks, which would stand out.
            image = read_rgb(self._dataset / self._erased.get(key, row["image"]))
            self._standouts[key] = standouts(
                image,
                self._usual[video],
                self._sides[row["profile"]],
                self._params.standouts,
                self._hud.get(row["profile"]),
                rare=row["profile"] not in self._crowds,
                fly_bys=self._fly_bys.get(key, no_boxes()),
            )
        return self._standouts[key]

    def _has_target(self, row: Mapping) -> bool:
        proposed = self._proposals.get((row["video"], row["frame_index"]))
        return row["objects"] > 0 or (proposed is not None and len(proposed.boxes) > 0)

    def _has_fly_by(self, row: Mapping) -> bool:
        return (row["video"], row["frame_index"]) in self._fly_bys

    def _scene(self, image: str, is_unknown: bool) -> Scene:
        if image not in self._read:
            if len(self._read) >= _REMEMBERED:
                self._read.pop(next(iter(self._read)))
            if is_unknown:
                self._read[image] = Scene(read_rgb(self._dataset / image), no_boxes(), np.zeros(0, int))
            else:
                picture, objects = read_objects(self._dataset, image)
                numbers = np.zeros(0, int) if objects.class_id is None else objects.class_id
                self._read[image] = Scene(picture, objects.xyxy, numbers)
        return self._read[image]


def target_sides(dataset: Path, provenance: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Long sides of small and large labelled targets in pixels, by profile (percentiles 5 and 95)."""
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] == "as-is")]
    result: dict[str, tuple[float, float]] = {}
    for profile in provenance["profile"].unique():
        images = rows.loc[rows["profile"] == profile, "image"]
        boxes = np.concatenate([no_boxes(), *(read_boxes(dataset, image).xyxy for image in images)])
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        low, high = np.percentile(sides, [5, 95]).tolist() if len(sides) else (16.0, 64.0)
        result[str(profile)] = low, high
    return result


def _somewhere_in(hud: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random pixel of the panels of a HUD, bool (H, W), as a box: xyxy float (1, 4)."""
    places = np.flatnonzero(hud)
    y, x = divmod(int(places[rng.integers(len(places))]), hud.shape[1])
    return np.array([[x, y, x + 1, y + 1]], float)


def _one_of(groups: list[list[Cutout]], rng: np.random.Generator) -> Cutout:
    """A random cutout; videos are drawn with equal weight."""
    of_video = groups[rng.integers(len(groups))]
    return of_video[rng.integers(len(of_video))]


def _corner(scene: Scene, px: int, around: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A random top left corner of a crop that contains one of the boxes; without boxes, anywhere."""
    height, width = scene.image.shape[:2]
    low, high = np.zeros(2), np.array([width - px, height - px], float)
    if len(around):
        box = around[rng.integers(len(around))]
        low = np.clip(np.maximum(box[2:], box[:2]) - px, 0, high)
        high = np.clip(np.minimum(box[:2], high), low, high)
    x, y = np.floor(rng.uniform(low, high + 1)).clip(0, [width - px, height - px]).astype(int).tolist()
    return x, y


def _paint_over(image: np.ndarray, box: np.ndarray, targets: np.ndarray) -> None:
    """Inpaint a region of a crop in place, unless it touches a target."""
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(box[:2]).astype(int) - GAP, 0, [width, height]).tolist()
    x2, y2 = np.clip(np.ceil(box[2:]).astype(int) + GAP, 0, [width, height]).tolist()
    if x1 >= x2 or y1 >= y2 or touches(np.array([x1, y1, x2, y2], float), targets, 0).any():
        return
    mask = np.zeros((height, width), np.uint8)
    mask[y1:y2, x1:x2] = 1
    if mask.all():
        image[:] = 0
        return
    image[:] = cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


def _filled_up(crop: Scene, px: int) -> Scene:
    """The crop with grey right of it and below up to the full side: a smaller one would be enlarged."""
    height, width = crop.image.shape[:2]
    if min(height, width) == px:
        return crop
    room = ((0, px - height), (0, px - width), (0, 0))
    return replace(crop, image=np.pad(crop.image, room, constant_values=_GREY))


def _lines(crop: Scene) -> str:
    """The crop's targets as YOLO text."""
    size = np.array([crop.image.shape[1], crop.image.shape[0]] * 2)
    middle = np.concatenate(
        [crop.boxes[:, :2] + crop.boxes[:, 2:], 2 * (crop.boxes[:, 2:] - crop.boxes[:, :2])], axis=1
    )
    numbers = middle / 2 / size
    return "".join(
        f"{class_id} " + " ".join(f"{number:.6f}" for number in row) + "\n"
        for class_id, row in zip(crop.classes.tolist(), numbers.tolist(), strict=True)
    )
