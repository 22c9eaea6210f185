"""Boxes of the targets against hand-checked ones, segmenter by segmenter.

    python benchmarks/target_boxes.py FOOTAGE_FOLDER [ENGINE ...]

Looks at the frames of FOOTAGE_FOLDER/truth.csv that have both a designator and an object. The prompt is
the designator as the bracket detector finds it with the clip's profile, or the true one where it finds none.
Clips whose names begin alike (`naev_`) are of one game. Every frame is judged alone, by the rules of
params.yaml. Where a segmenter gives several candidates, other ways of choosing are printed beside ours.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster import tables
from gotowce_dagster.detectors.profile import read_profile
from gotowce_dagster.detectors.registry import build_detector
from gotowce_dagster.intake import profile_of
from gotowce_dagster.labels.cleaning import clean
from gotowce_dagster.params import MasksParams
from gotowce_dagster.project import Project
from gotowce_dagster.segmenters.base import Candidate, Segmenter
from gotowce_dagster.segmenters.choose import measure
from gotowce_dagster.segmenters.crops import Crop
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.segmenters.targets import segment_targets
from gotowce_dagster.video.decode import read_frames

ENGINES = ("grabcut", "mobile_sam:mobile_sam.pt", "sam2:sam2_hiera_tiny_image.pt")
WRONG = 0.5
_BOX = ["x1", "y1", "x2", "y2"]

WAYS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "by agreement (ours, unvoted)": lambda c: c["score"],
    "by the model's own score": lambda c: c["predicted_iou"],
    "by stability alone": lambda c: c["stability"],
    "by own score, only point@3": lambda c: c["predicted_iou"].where(c["prompt"] == "point@3", -1),
    "by own score, only point@2": lambda c: c["predicted_iou"].where(c["prompt"] == "point@2", -1),
    "by own score, only box@3": lambda c: c["predicted_iou"].where(c["prompt"] == "box@3", -1),
}


@dataclass(frozen=True)
class Case:
    """A frame with one target."""

    clip: str
    frame_index: int
    image: np.ndarray
    detection: sv.Detections
    truth: np.ndarray


@dataclass
class Answered:
    """A segmenter that gives candidates found before, so that each frame is segmented once."""

    name: str
    weights: str
    device: str
    candidates: list[Candidate]

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        return [self.candidates]


def read_cases(footage: Path, project: Project) -> Iterator[Case]:
    """Every frame of the truth that has a designator and an object."""
    truth = tables.read_truth(footage / "truth.csv")
    boxes = truth[truth["label"].isin(["designator", "object"])].pivot_table(
        index=["clip", "frame_index"], columns="label", values=_BOX, aggfunc="first"
    )
    boxes = boxes.dropna()
    for clip, rows in boxes.groupby(level="clip"):
        profile = read_profile(project.paths.profile(profile_of(project.paths, Path(str(clip)).stem)))
        detector = build_detector("bracket", profile)
        wanted = rows.index.get_level_values("frame_index")
        for frame in read_frames(footage / str(clip), set(wanted)):
            row = rows.loc[(clip, frame.index)]
            designator, target = (
                np.array([row[(side, label)] for side in _BOX], float) for label in ("designator", "object")
            )
            image = frame.rgb()
            yield Case(
                str(clip), frame.index, image, _prompt(detector.detect([image])[0], designator), target
            )


def _prompt(found: sv.Detections, designator: np.ndarray) -> sv.Detections:
    overlap = sv.box_iou_batch(designator[None], found.xyxy)[0] if len(found) else np.zeros(0)
    if overlap.max(initial=0) < WRONG:
        return sv.Detections(designator[None], confidence=np.ones(1), data={"visible_corners": np.array([4])})
    one = found[[int(overlap.argmax())]]
    assert isinstance(one, sv.Detections)
    return one


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("footage", type=Path)
    parser.add_argument("engines", nargs="*", default=ENGINES)
    arguments = parser.parse_args()
    project = Project.find(Path(__file__).parent)
    cases = list(read_cases(arguments.footage, project))
    pd.set_option("display.width", 200)
    for engine in arguments.engines:
        results, choices = run(engine, cases, project)
        print(f"\n{engine} on {build_segmenter(engine, project.params.masks).device}, {len(cases)} frames")
        print(summary(results).to_string())
        accepted = results[results["verdict"] == "accept"]
        wrong = (accepted["iou"] < WRONG).mean() if len(accepted) else 0.0
        print(f"wrong among accepted {wrong:.1%}; {results['seconds'].median():.2f} s a frame")
        refused = results[results["verdict"] != "accept"]
        for row in refused.itertuples():
            print(f"  {row.verdict}: {row.clip} {row.frame_index}, IoU {row.iou:.2f}: {row.reasons}")
        if choices["candidates"].max() > 1:
            print(choices.drop(columns="candidates").groupby("game").median().T.to_string())


def run(engine: str, cases: list[Case], project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a case: how good the box is and what became of it; and the IoU of every way of choosing."""
    params = project.params.masks
    segmenter = build_segmenter(engine, params)
    segmenter.segment(cases[0].image, cases[0].detection.xyxy)  # the first call of a process loads and plans
    results, choices = [], []
    for case in cases:
        start = time.perf_counter()
        candidates = segmenter.segment(case.image, case.detection.xyxy.astype(float))[0]
        rows = segment_targets(case.image, case.detection, _answered(segmenter, candidates), params)
        seconds = time.perf_counter() - start
        verdict, reasons = _verdict(case, rows, project)
        game = case.clip.partition("_")[0]
        about = {"game": game, "clip": case.clip, "frame_index": case.frame_index}
        results.append(
            {
                **about,
                "iou": _iou(rows[_BOX].to_numpy(float), case.truth),
                "verdict": verdict,
                "reasons": reasons,
                "seconds": seconds,
            }
        )
        choices.append({"game": game, "candidates": len(candidates), **_ways(candidates, case, params)})
    return pd.DataFrame(results), pd.DataFrame(choices)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """By game: frames, median and lowest IoU, boxes at IoU 0.75, wrong ones, and accepted ones."""
    return results.groupby("game").agg(
        frames=("iou", "size"),
        median_iou=("iou", "median"),
        lowest=("iou", "min"),
        at_75=("iou", lambda iou: (iou >= 0.75).mean()),
        wrong=("iou", lambda iou: (iou < WRONG).sum()),
        accepted=("verdict", lambda verdict: (verdict == "accept").sum()),
    )


def _answered(segmenter: Segmenter, candidates: list[Candidate]) -> Answered:
    return Answered(segmenter.name, segmenter.weights, segmenter.device, candidates)


def _ways(candidates: list[Candidate], case: Case, params: MasksParams) -> dict[str, float]:
    """IoU of the mask's box with the truth, for every way of choosing."""
    kept = [c for c in candidates if np.count_nonzero(c.mask) >= params.min_area_px]
    if not kept:
        return dict.fromkeys(WAYS, 0.0)
    measures = measure(kept, case.detection.xyxy[0].astype(float), params)
    boxes = [window.box for c in kept if (window := Crop.of_mask(c.mask))]
    return {
        name: _iou(boxes[int(way(measures).fillna(-1).argmax())][None], case.truth)
        for name, way in WAYS.items()
    }


def _verdict(case: Case, rows: pd.DataFrame, project: Project) -> tuple[str, str]:
    key = {"video": case.clip, "frame_index": case.frame_index}
    corners = case.detection.data.get("visible_corners", np.array([4]))
    confidence = case.detection.confidence
    assert confidence is not None
    detection = pd.DataFrame(case.detection.xyxy, columns=_BOX).assign(
        **key, detection_id=0, confidence=confidence, class_name="", detector="", prompt="",
        visible_corners=corners,
    )  # fmt: skip
    frame = {
        "time_s": 0.0,
        "shot": 0,
        "sharpness": np.nan,
        "phash": "",
        "kept": True,
        "reason": "",
        "file": "",
    }
    labels = clean(
        detection,
        rows.assign(**key, object_id="0/0"),
        pd.DataFrame([{"frame_index": case.frame_index, **frame}]),
        project.params.cleaned_labels,
    )
    return labels["verdict"].iloc[0], ", ".join(labels["reasons"].iloc[0])


def _iou(boxes: np.ndarray, truth: np.ndarray) -> float:
    return float(sv.box_iou_batch(boxes, truth[None]).max(initial=0)) if len(boxes) else 0.0


if __name__ == "__main__":
    main()
