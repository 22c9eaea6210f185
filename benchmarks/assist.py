"""Latency from a click to its mask through the HTTP backend: first and second click on each frame.

    python -m benchmarks.assist [ENGINE] [--frames 4]

Uses the frames of the samples with ground truth, first with designators (the click falls into one), then
without. IoU is that of the mask's box with ground truth.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import httpx
import numpy as np
import pandas as pd

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.masks import mask_box_iou
from gotowce_dagster.core.tables import DETECTIONS, write_table
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.review.assist import Assistant, build_model
from gotowce_dagster.review.assist_server import TITLE, application, new_token, serving
from gotowce_dagster.review.bitmask import url_to_mask
from gotowce_dagster.review.config import labelling_config
from gotowce_dagster.video.decode import read_frames

_SAMPLES = Path(__file__).parent.parent / "data" / "samples"
_CONFIG = labelling_config(["target"], "bitmask")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("engine", nargs="?", default="sam2:sam2_hiera_tiny_image.pt")
    arguments.add_argument("--frames", type=int, default=4, help="number of frames of each sample")
    options = arguments.parse_args()
    here = Project.find(Path(__file__).parent)
    truth = read_truth(_SAMPLES / "truth.csv")
    with TemporaryDirectory() as folder:
        paths = Paths(Path(folder))
        (paths.root / "params.yaml").write_bytes(here.paths.params.read_bytes())
        project = Project(paths)
        model, token = build_model(options.engine, project), new_token()
        for has_designators in (True, False):
            rows = []
            with serving(application(Assistant(project, model), lambda _: None, token), 0) as bare:
                url = bare.replace("://", f"://{TITLE}:{token}@")
                for clip, of_clip in truth.groupby("clip"):
                    rows += _of_clip(
                        url, paths, str(clip), of_clip, limit=options.frames, has_designators=has_designators
                    )
            table = pd.DataFrame(rows, columns=["clip", "first_s", "second_s", "iou"])
            print(
                f"\n{options.engine} on {model.device}, "
                f"{'with' if has_designators else 'without'} designators"
            )
            print(table.groupby("clip").agg(["median", "min", "max"]).round(2).to_string())


def _of_clip(
    url: str, paths: Paths, clip: str, truth: pd.DataFrame, *, limit: int, has_designators: bool
) -> list[tuple[str, float, float, float]]:
    targets = truth[truth["label"] == "object"].drop_duplicates("frame_index")
    designators = truth[truth["label"] == "designator"].drop_duplicates("frame_index")
    both = targets[targets["frame_index"].isin(designators["frame_index"])].head(limit)
    if both.empty:
        return []
    video = Path(clip).stem
    found = designators[["frame_index", *BOX]].assign(
        video=video, detection_id=0, confidence=1.0, class_name="target", detector="hand", prompt="mark"
    )
    write_table(found if has_designators else found.head(0), DETECTIONS, paths.detections(video))
    paths.frames(video).mkdir(parents=True, exist_ok=True)
    rows = []
    for frame in read_frames(_SAMPLES / clip, both["frame_index"].tolist()):
        name = f"{frame.index:06d}{'k' if has_designators else 'u'}.jpg"
        cv2.imwrite(str(paths.frames(video) / name), frame.bgr(), [cv2.IMWRITE_JPEG_QUALITY, 95])
        height, width = frame.luma().shape
        box = xyxy(both[both["frame_index"] == frame.index])[0]
        middle = (box[:2] + box[2:]) / 2 / [width, height] * 100
        beside = np.add(middle, [100 / width, 0])
        data = {"image": f"/data/local-files/?d=frames/{video}/{name}", "video": video}
        seconds, mask = [], None
        for points in ([middle], [middle, beside]):
            clicks = [
                {"type": "keypointlabels", "value": {"x": x, "y": y, "keypointlabels": ["target"]}}
                for x, y in points
            ]
            began = time.perf_counter()
            answer = httpx.post(
                f"{url}/predict",
                json={
                    "tasks": [{"data": data | {"frame_index": frame.index}}],
                    "label_config": _CONFIG,
                    "params": {"context": {"result": clicks}},
                },
                timeout=100,
            ).raise_for_status()
            seconds.append(time.perf_counter() - began)
            if mask is None and (regions := answer.json()["results"][0]["result"]):
                mask = url_to_mask(regions[0]["value"]["imageDataURL"])
        rows.append((video, *seconds, 0.0 if mask is None else mask_box_iou(mask, box)))
    return rows


if __name__ == "__main__":
    main()
