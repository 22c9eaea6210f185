"""A small project whose first five stages are done: a bright square that wanders, exactly labelled."""

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import DETECTIONS, FLY_BYS, FRAMES, LABELS, MASKS, empty, write_table
from gotowce_dagster.core.yaml_files import read_yaml
from gotowce_dagster.video.encode import write_video

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 160, 96
COLOURS = {"hostile": (255, 60, 40), "neutral": (60, 220, 255)}


def make_world(
    root: Path,
    videos: Mapping[str, Sequence[str | None]],
    verdicts: Mapping[tuple[str, int], str] | None = None,
    fps: float = 2.0,
    is_filmed: bool = False,
    **sections: Mapping[str, object],
) -> Project:
    """Write a project with these videos.

    Args:
        videos: for each, the class shown in every sampled frame, or None where nothing is.
        verdicts: for (video, frame_index), another verdict than accept.
        is_filmed: write the videos themselves too, without any loss.
        sections: values of params.yaml to change, by section.
    """
    params = read_yaml(ROOT / "params.yaml")
    for section, values in sections.items():
        params[section] = merged(params[section], values)
    paths = Paths(root)
    paths.data.mkdir(parents=True, exist_ok=True)
    paths.params.write_text(yaml.dump(params, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
    entries = {video: {"file": f"{video}.mp4", "profile": "none", "negative": True} for video in videos}
    paths.points("none").parent.mkdir(exist_ok=True)
    paths.points("none").write_text("frame_index,object_id,x,y,label\n", encoding="utf-8")
    paths.profile("none").parent.mkdir(exist_ok=True)
    paths.profile("none").write_text('name = "none"\n', encoding="utf-8")
    paths.videos.write_text(yaml.safe_dump({"videos": entries}), encoding="utf-8")
    paths.engines.write_text(
        "masks: grabcut\npropagation: unused\nfinetuned_model: yolo26n.yaml\n", encoding="utf-8"
    )
    for video, shown in videos.items():
        own = tuple(item for item in (verdicts or {}).items() if item[0][0] == video)
        files, pictures = _files(video, tuple(shown), own, fps)
        shutil.rmtree(paths.frames(video), ignore_errors=True)
        for file, content in files.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(content)
        if is_filmed:
            film(paths.raw / f"{video}.mp4", pictures)
    return Project(paths)


def merged(section: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A section of params.yaml with its changed values; in `review`, values of its parts."""
    if "sensor" not in section:
        return {**section, **changes}
    return {**section, **{part: {**section[part], **values} for part, values in changes.items()}}


def film(path: Path, pictures: Mapping[int, np.ndarray]) -> None:
    """Write a video without loss, RGB in, RGB out, whatever its suffix.

    Args:
        pictures: RGB uint8 (H, W, 3) by frame_index; a frame that is not named repeats the one before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    frames, last = [], pictures[min(pictures)]
    for index in range(max(pictures) + 1):
        last = pictures.get(index, last)
        frames.append(last)
    write_video(
        path,
        frames,
        codec="libx264rgb",
        pixel_format="rgb24",
        options={"qp": "0", "preset": "ultrafast", "bf": "0"},
        container_format="matroska",
    )


def box_at(number: int) -> np.ndarray:
    """The object's box xyxy in the frame of that number: it moves by 6 pixels and more."""
    x, y = 8 + (number * 37) % (WIDTH - 40), 6 + (number * 23) % (HEIGHT - 36)
    return np.array([x, y, x + 20, y + 16], float)


@lru_cache(maxsize=32)
def _files(
    video: str, shown: tuple[str | None, ...], verdicts: tuple[tuple[tuple[str, int], str], ...], fps: float
) -> tuple[dict[Path, bytes], dict[int, np.ndarray]]:
    """The outputs of the first stages, by their path in the project, and the pictures; tests share worlds."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = _write_video(Paths(root), video, shown, dict(verdicts), fps)
        files = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return files, pictures


def _write_video(
    paths: Paths,
    video: str,
    shown: Sequence[str | None],
    verdicts: Mapping[tuple[str, int], str],
    fps: float,
) -> dict[int, np.ndarray]:
    """Write the outputs of the first stages, give the pictures."""
    paths.frames(video).mkdir(parents=True)
    frames, detections, masks, labels = [], [], [], []
    pictures = {}
    for number, name in enumerate(shown):
        index = number * 10
        rng = np.random.default_rng([len(video), *video.encode(), number])
        picture = rng.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        box = box_at(number)
        if name:
            x1, y1, x2, y2 = box.astype(int)
            picture[y1:y2, x1:x2] = COLOURS[name]
        pictures[index] = picture
        file = f"{index:06d}.jpg"
        cv2.imwrite(str(paths.frames(video) / file), picture[:, :, ::-1])
        frames.append(
            {
                "frame_index": index,
                "time_s": number / fps,
                "shot": number // 8,
                "sharpness": 1.0,
                "phash": f"{rng.integers(0, 2**63):016x}",
                "kept": True,
                "reason": "",
                "file": file,
            }
        )
        if name:
            key = {"video": video, "frame_index": index, "detection_id": 0}
            detections.append({**key, **_sides(_mark(box)), **_FOUND, "class_name": name})
            masks.append({**key, **_sides(box), **_CUT, **_mask(box), "class_name": name})
            labels.append(
                {
                    **key,
                    **_sides(box),
                    **_sides(_mark(box), "designator_"),
                    **_mask(box),
                    "object_id": "0/0",
                    "class_name": name,
                    "confidence": 0.9,
                    "quality": 0.8,
                    "verdict": verdicts.get((video, index), "accept"),
                    "reasons": [],
                    "scores": {"agreement": 0.9},
                }
            )
    write_table(pd.DataFrame(frames), FRAMES, paths.frame_index(video))
    write_table(empty(FLY_BYS), FLY_BYS, paths.fly_bys(video))
    for rows, schema, path in (
        (detections, DETECTIONS, paths.detections(video)),
        (masks, MASKS, paths.masks(video)),
        (labels, LABELS, paths.labels(video)),
    ):
        write_table(pd.DataFrame(rows) if rows else empty(schema), schema, path)
    return pictures


_FOUND = {"confidence": 0.9, "detector": "bracket", "prompt": "mark", "visible_corners": 4}
_CUT = {
    "object_id": "0/0",
    "segmenter": "grabcut",
    "prompt": "box",
    "area_px": 320,
    "predicted_iou": None,
    "object_score": None,
    "stability": None,
    "fill": 0.3,
    "inside": 1.0,
    "mark_overlap": 0.0,
    "own_colour": 0.0,
    "agreement": None,
}


def _mark(box: np.ndarray) -> np.ndarray:
    return box + np.array([-6, -6, 6, 6])


def _sides(box: np.ndarray, prefix: str = "") -> dict[str, float]:
    return {f"{prefix}{side}": float(value) for side, value in zip(BOX, box, strict=True)}


def _mask(box: np.ndarray) -> dict[str, object]:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x1, y1, x2, y2 = box.astype(int)
    mask[y1:y2, x1:x2] = True
    return {"rle": rle.encode(mask), "height": HEIGHT, "width": WIDTH}
