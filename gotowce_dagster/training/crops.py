"""Training crops: small pictures at native scale around targets, with and without their marks.

Whole frames teach a detector three wrong things: that a target wears a mark, that what nobody marked is
background, and, shrunk to fit, that targets are smaller than they are. A crop around a target contains
little that nobody has looked at; in most crops the mark is erased; and targets cut out along their masks are
pasted at other places of frames of the same game, so that few labels show many targets without marks
(Ghiasi et al., Simple Copy-Paste, CVPR 2021). Regions that may hold a target nobody vouches for are painted
over rather than taught as background.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.labels.export import label_file, read_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.hud import hud_panels
from gotowce_dagster.training.standouts import share_inside, standouts, usual_picture

_VISIBLE = 0.5
"""A target with a smaller share of its box inside a crop is painted over rather than taught."""
_LEAST_PX = 8
"""Long side of a pasted target, at least: a smaller one is a star."""
_ON_HUD = 0.2
"""A pasted target has no larger share of its box on panels of the HUD."""
_GAP = 3
"""Pixels between a pasted target and any other."""
_TRIES = 8
"""Places tried for a pasted target before it is left out."""
_MEDIAN_OF = 25
"""Frames of a video that tell what its places usually show."""
_LEAST_VAL = 16
"""Validation crops, at least."""
_REMEMBERED = 64
"""Pictures kept in memory."""


def _no_boxes() -> np.ndarray:
    return np.zeros((0, 4))


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what is known about it."""

    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    boxes: np.ndarray
    """xyxy float (n, 4) of targets."""
    classes: np.ndarray
    """int (n,)."""
    doubtful: np.ndarray = field(default_factory=_no_boxes)
    """xyxy float (m, 4) of what may be a target."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A target cut out along its mask."""

    image: np.ndarray
    """RGB uint8 (h, w, 3)."""
    alpha: np.ndarray
    """float32 (h, w), 0 to 1."""
    class_id: int


@dataclass(frozen=True, eq=False)
class Proposed:
    """What an earlier model proposes in one frame, beyond its labels."""

    boxes: np.ndarray = field(default_factory=_no_boxes)
    """xyxy (n, 4): sure enough to be learned from."""
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    doubtful: np.ndarray = field(default_factory=_no_boxes)
    """xyxy (m, 4): not sure enough to be learned, nor to be taught as background."""
    still: np.ndarray = field(default_factory=_no_boxes)
    """xyxy (k, 4): part of the HUD, for it keeps its place; to be taught as background."""


Proposals = Mapping[tuple[str, int], Proposed]
"""By (video, frame_index)."""


def crop_scene(scene: Scene, x: int, y: int, px: int) -> Scene:
    """The square of ``px`` pixels a side whose top left corner is at (x, y).

    Doubtful regions, and targets that it cuts in pieces, are painted over; where one overlaps a target that
    stays, it is left as it is.
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


def paste(
    scene: Scene,
    cutout: Cutout,
    params: CropParams,
    rng: np.random.Generator,
    hud: np.ndarray | None = None,
) -> Scene:
    """The scene with a target pasted at a random place, turned, stretched and recoloured at random.

    Without a free place it is the scene itself.

    Args:
        hud: bool (H, W) of the scene's image: panels, on which nothing is pasted; None: none are known.
    """
    image, alpha = _varied(cutout, params, rng)
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha > 0.5)
    if not len(rows) or height >= scene.image.shape[0] or width >= scene.image.shape[1]:
        return scene
    extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
    for _ in range(_TRIES):
        x = int(rng.integers(scene.image.shape[1] - width))
        y = int(rng.integers(scene.image.shape[0] - height))
        box = extent + np.array([x, y, x, y])
        if hud is not None and share_inside(hud, box[None])[0] > _ON_HUD:
            continue
        if not _touches(box, scene.boxes, _GAP).any():
            break
    else:
        return scene
    result = scene.image.copy()
    place = result[y : y + height, x : x + width]
    soft = np.minimum(cv2.GaussianBlur(alpha, (0, 0), 0.6), np.minimum(2 * alpha, 1))[..., None]
    place[:] = np.clip(soft * image + (1 - soft) * place, 0, 255).round().astype(np.uint8)
    return Scene(result, np.vstack([scene.boxes, box]), np.append(scene.classes, cutout.class_id))


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


def read_cutouts(dataset: Path) -> dict[str, list[Cutout]]:
    """A dataset's cutouts by video."""
    found: dict[str, list[Cutout]] = {}
    for file in sorted((dataset / "cutouts").glob("*.png")):
        stem, _, class_id = file.stem.rsplit("_", 2)
        video = stem.rsplit("_", 1)[0]
        rgba = cv2.cvtColor(np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)), cv2.COLOR_BGRA2RGBA)
        alpha = rgba[..., 3].astype(np.float32) / 255
        found.setdefault(video, []).append(Cutout(np.ascontiguousarray(rgba[..., :3]), alpha, int(class_id)))
    return found


def of_other_games(cutouts: Mapping[str, list[list[Cutout]]], profile: str) -> list[list[Cutout]]:
    """Cutouts of other games than one that have a class of it, by video.

    Args:
        cutouts: by profile and video.
    """
    classes = {cutout.class_id for some in cutouts[profile] for cutout in some}
    every = [some for other, groups in cutouts.items() if other != profile for some in groups]
    alike = [[cutout for cutout in some if cutout.class_id in classes] for some in every]
    return [some for some in alike if some]


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

    Validation crops have no pasted targets and no proposals: they show what the labels say.

    Args:
        dataset: folder with images, labels, cutouts and unknown frames; only read.
        provenance: rows of tables.PROVENANCE of it.
        target: folder to fill; data.yaml is not written.

    Returns:
        A row a crop: image, split, video, frame_index, kind, x, y, labelled, proposed and pasted targets.
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
            crop, told = maker.make(frames, number, split, rng)
            image = f"images/{split}/{number:06d}.jpg"
            write_picture(crop.image, target / image, quality=95)
            label_file(target, image).write_text(_lines(crop), encoding="utf-8")
            rows.append({"image": image, "split": split, **told})
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

    def frames(self, split: str) -> dict[str, list[list[dict]]]:
        """Frames of a split by profile and video: each profile and each video counts alike."""
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
        """One crop, and what it is made of."""
        params, trains = self._params, split == "train"
        profile = list(frames)[number % len(frames)]
        away = trains and rng.random() < params.away
        videos = frames[profile]
        if not away:
            # Around a target, so of frames that have one.
            videos = [some for rows in videos if (some := [row for row in rows if self._has_target(row)])]
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
        if trains and proposed is None and not row["reviewed"]:
            scene = Scene(scene.image, scene.boxes, scene.classes, self._stand_out(row))
        elif proposed is not None:
            scene = Scene(
                scene.image,
                np.concatenate([scene.boxes, proposed.boxes]),
                np.concatenate([scene.classes, proposed.classes]),
                proposed.doubtful,
            )
        px = min(params.px, *scene.image.shape[:2])
        mistaken = _no_boxes() if proposed is None or not away else proposed.still
        x, y = _corner(scene, px, mistaken if away else scene.boxes, rng)
        crop = crop_scene(scene, x, y, px)
        before = len(crop.boxes)
        hud = self._hud.get(profile)
        hud = None if hud is None else hud[y : y + px, x : x + px]
        if trains and profile in self._cutouts:
            for _ in range(rng.integers(params.pasted[0], params.pasted[1] + 1)):
                groups = self._cutouts[profile]
                if rng.random() < params.foreign and (others := of_other_games(self._cutouts, profile)):
                    groups = others
                of_video = groups[rng.integers(len(groups))]
                crop = paste(crop, of_video[rng.integers(len(of_video))], params, rng, hud)
        told = {"video": row["video"], "frame_index": row["frame_index"], "kind": kind, "x": x, "y": y}
        told |= {"labels": before, "pasted": len(crop.boxes) - before}
        return crop, told

    def _stand_out(self, row: Mapping) -> np.ndarray:
        """What may be a target in a frame that no model has looked at, xyxy (n, 4)."""
        video, key = row["video"], (row["video"], row["frame_index"])
        if not self._params.standouts:
            return _no_boxes()
        if key not in self._standouts:
            if video not in self._usual:
                rows = self._rows[(self._rows["video"] == video) & (self._rows["kind"] != "erased")]
                some = np.unique(np.linspace(0, len(rows) - 1, min(_MEDIAN_OF, len(rows))).astype(int))
                self._usual[video] = usual_picture(
                    [read_rgb(self._dataset / image) for image in rows["image"].iloc[some]]
                )
            # Without its marks, or they would stand out.
            image = read_rgb(self._dataset / self._erased.get(key, row["image"]))
            self._standouts[key] = standouts(
                image,
                self._usual[video],
                self._sides[row["profile"]],
                self._params.standouts,
                self._hud.get(row["profile"]),
            )
        return self._standouts[key]

    def _has_target(self, row: Mapping) -> bool:
        proposed = self._proposals.get((row["video"], row["frame_index"]))
        return row["objects"] > 0 or (proposed is not None and len(proposed.boxes) > 0)

    def _scene(self, image: str, is_unknown: bool) -> Scene:
        if image not in self._read:
            if len(self._read) >= _REMEMBERED:
                self._read.pop(next(iter(self._read)))
            if is_unknown:
                self._read[image] = Scene(read_rgb(self._dataset / image), _no_boxes(), np.zeros(0, int))
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
        boxes = np.concatenate([_no_boxes(), *(read_objects(dataset, image)[1].xyxy for image in images)])
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        low, high = np.percentile(sides, [5, 95]).tolist() if len(sides) else (16.0, 64.0)
        result[str(profile)] = low, high
    return result


def _corner(scene: Scene, px: int, around: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Where a crop begins: so that one of some boxes, chosen at random, lies anywhere in it; without any,
    anywhere."""
    height, width = scene.image.shape[:2]
    low, high = np.zeros(2), np.array([width - px, height - px], float)
    if len(around):
        box = around[rng.integers(len(around))]
        low = np.clip(np.maximum(box[2:], box[:2]) - px, 0, high)
        high = np.clip(np.minimum(box[:2], high), low, high)
    x, y = np.floor(rng.uniform(low, high + 1)).clip(0, [width - px, height - px]).astype(int).tolist()
    return x, y


def _varied(cutout: Cutout, params: CropParams, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The cutout stretched, turned, mirrored, scaled and recoloured: RGB float (h, w, 3) and alpha (h, w)."""
    image, alpha = cutout.image, cutout.alpha
    if rng.random() < 0.5:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    if params.stretch > 1:
        # One side longer, the other shorter: ships of other kinds have other proportions.
        ratio = params.stretch ** rng.uniform(-0.5, 0.5)
        size = (max(round(image.shape[1] * ratio), 2), max(round(image.shape[0] / ratio), 2))
        image, alpha = cv2.resize(image, size), cv2.resize(alpha, size)
    height, width = alpha.shape
    scale = float(np.exp(rng.uniform(*np.log(params.paste_scale))))
    scale = max(scale, min(1.0, _LEAST_PX / max(height, width)))
    angle = rng.uniform(-params.turn_deg, params.turn_deg)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    cosine, sine = np.abs(turn[0, :2])
    size = (int(width * cosine + height * sine) + 3, int(height * cosine + width * sine) + 3)
    turn[:, 2] += np.array(size) / 2 - [width / 2, height / 2]
    image = cv2.warpAffine(np.ascontiguousarray(image), turn, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(np.ascontiguousarray(alpha), turn, size)
    if rng.random() < params.recolour:
        colours = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int32)
        colours[..., 0] = (colours[..., 0] + rng.integers(180)) % 180
        if rng.random() < 0.5:
            colours[..., 1] = np.clip(colours[..., 1] * rng.uniform(0.5, 3) + rng.uniform(0, 40), 0, 255)
        image = cv2.cvtColor(colours.astype(np.uint8), cv2.COLOR_HSV2RGB)
    gain = rng.uniform(1 - params.brightness, 1 + params.brightness)
    return np.clip(image.astype(np.float32) * gain, 0, 255), alpha


def _paint_over(image: np.ndarray, box: np.ndarray, targets: np.ndarray) -> None:
    """Inpaint a region of a crop in place, unless it touches a target."""
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(box[:2]).astype(int) - _GAP, 0, [width, height]).tolist()
    x2, y2 = np.clip(np.ceil(box[2:]).astype(int) + _GAP, 0, [width, height]).tolist()
    if x1 >= x2 or y1 >= y2 or _touches(np.array([x1, y1, x2, y2], float), targets, 0).any():
        return
    mask = np.zeros((height, width), np.uint8)
    mask[y1:y2, x1:x2] = 1
    if mask.all():
        image[:] = 0
        return
    image[:] = cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA)


def _touches(box: np.ndarray, boxes: np.ndarray, gap: float) -> np.ndarray:
    """bool (n,): whether a box comes nearer than ``gap`` to each of the others."""
    apart = (box[None, :2] >= boxes[:, 2:] + gap) | (box[None, 2:] <= boxes[:, :2] - gap)
    return np.logical_not(np.any(apart, axis=1))


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


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
