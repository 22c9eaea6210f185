"""Masks from designators with SAM 2: comparison with a plain box prompt, and an ablation.

    python -m benchmarks.image_masks [FOOTAGE_FOLDER] [--weights NAME] [--quick]

Uses the frames of benchmarks/truth_rows.py, and again those whose target is large when enlarged eight times,
as if it were near. The measure is the IoU of the mask's box with the ground truth box.

The plain method is one box prompt, the designator, on the whole frame at 1024 pixels, in the default
precision of the sam2 package (float32) and in ours. Ours uses the settings of params.yaml. The ablation
removes one part, or keeps only one; it uses the same candidates for all and is plotted in
docs/pictures/ablation.png.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import supervision as sv

from benchmarks.ratios import compare
from benchmarks.truth_rows import SAMPLES, WRONG, Case, detector_of, iou, read_cases, verdict
from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.device import best_device, half_precision
from gotowce_dagster.core.weights import require
from gotowce_dagster.labels.tracks import link
from gotowce_dagster.pictures.strips import strips
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.segmenters.base import Candidate, Segmenter
from gotowce_dagster.segmenters.choose import best_score, choose, score
from gotowce_dagster.segmenters.neighbours import settle
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build, load
from gotowce_dagster.segmenters.targets import (
    candidates_table,
    find_targets,
    mask_columns,
    read_candidates,
    segment_targets,
)
from gotowce_dagster.video.decode import probe, read_frames

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "ablation.png"
ENLARGED, ENLARGED_SIDES, ENLARGED_LEAST = 8, 4, 150
LARGE = f"{ENLARGED}x enlarged"
Trust = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Method:
    """A method to get from a designator to a mask."""

    input_px: int = 448
    scales: tuple[str, ...] = ("2", "3")
    prompts: tuple[str, ...] = ("point", "ring", "box")
    trust: Trust = score
    vote: bool = True
    second_look: bool = False
    """Whether further crops are used only if the first leaves a doubt; else all crops are used."""
    neighbours: bool = False

    @property
    def prompt_names(self) -> list[str]:
        return [f"{prompt}@{scale}" for prompt in self.prompts for scale in self.scales]

    @property
    def first_prompt_names(self) -> list[str]:
        return [f"{prompt}@{self.scales[0]}" for prompt in self.prompts]


def own_score(measures: pd.DataFrame) -> pd.Series:
    return measures["predicted_iou"]


def without_agreement(measures: pd.DataFrame) -> pd.Series:
    return measures["stability"] * measures["inside"] * (1 - measures["mark_overlap"])


def without_designator(measures: pd.DataFrame) -> pd.Series:
    return measures["agreement"].fillna(1) * measures["stability"]


ALONE = Method()
SMALL = Method(input_px=256, scales=("3",))
METHODS = {
    "ours": replace(ALONE, second_look=True, neighbours=True),
    "without neighbours in time": replace(ALONE, second_look=True),
    "both crops of every target": ALONE,
    "one crop, of 2 sides": replace(ALONE, scales=("2",)),
    "one crop, of 3 sides": replace(ALONE, scales=("3",)),
    "only the point": replace(ALONE, prompts=("point",)),
    "only the ring": replace(ALONE, prompts=("ring",)),
    "only the box": replace(ALONE, prompts=("box",)),
    "selected by the model's own score": replace(ALONE, trust=own_score),
    "selected without agreement": replace(ALONE, trust=without_agreement),
    "selected without inside and mark": replace(ALONE, trust=without_designator),
    "no vote": replace(ALONE, vote=False),
    "no vote, by the model's own score": replace(ALONE, vote=False, trust=own_score),
    "no vote, without agreement": replace(ALONE, vote=False, trust=without_agreement),
    "crops at 512 pixels": replace(ALONE, input_px=512),
    "crops at 256 pixels": replace(ALONE, input_px=256),
    "one crop of 3 sides at 256": SMALL,
    "the same, with neighbours in time": replace(SMALL, neighbours=True),
}


@dataclass(frozen=True)
class FrameCandidates:
    """A case, or a frame half a second from it, with the candidates of each input size."""

    time_s: float
    designator: np.ndarray
    candidates: dict[int, pd.DataFrame]
    """By input size; columns of targets.CANDIDATES."""


def main() -> None:
    """Print both tables and plot the second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("footage", type=Path, nargs="?", default=SAMPLES)
    parser.add_argument("--weights", default="sam2_hiera_tiny_image.pt", choices=CONFIGS)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one frame in float32, no warm-up, no crops at 512 pixels, no picture",
    )
    arguments = parser.parse_args()
    project = Project.find(Path(__file__).parent)
    cases = list(islice(read_cases(arguments.footage, project), 1 if arguments.quick else None))
    pd.set_option("display.width", 200)
    compared = against_plain(cases, arguments.weights, project, quick=arguments.quick)
    print(f"\n{arguments.weights}, {len(cases)} frames, each with one target")
    print(summary(compared).to_string())
    print(speed(compared).to_string())
    ours, plain = (compared[compared["method"] == name] for name in ("ours", "plain, float32"))
    against = "a box prompt on the whole frame"
    for what, column, more in (("masks, IoU of boxes", "iou", True), ("masks, time", "seconds", False)):
        unit = "s a target" if column == "seconds" else "mean IoU"
        figures = (one[column].mean() for one in (ours, plain))
        compare(what, *figures, against=against, unit=unit, more_is_better=more)
    print(f"accepted {(ours['verdict'] == 'accept').sum()} of {len(ours)}, "
          f"lowest IoU among them {ours.loc[ours['verdict'] == 'accept', 'iou'].min():.2f}; "
          f"wrong (below {WRONG}) {(ours['iou'] < WRONG).sum()}")  # fmt: skip
    plain = compared[compared["method"] == "plain, float32"].assign(method="plain: box on the whole frame")
    methods = {
        name: method for name, method in METHODS.items() if not (arguments.quick and method.input_px == 512)
    }
    table = pd.concat([ablation(arguments.footage, cases, arguments.weights, project, methods), plain])
    print("\nAblation: IoU of boxes")
    print(ablation_summary(table).to_string())
    if arguments.quick:
        return
    write_picture(strips(table, "method", "game", "iou", "IoU of the mask's box with ground truth"), PICTURE)
    print(f"plotted in {PICTURE}")


def against_plain(cases: Sequence[Case], weights: str, project: Project, *, quick: bool) -> pd.DataFrame:
    """Compare with the plain method: columns game, method, iou, seconds, verdict (of ours)."""
    params = project.params.masks
    segmenter = build_segmenter(f"sam2:{weights}", params)
    plain = plain_predictor(weights)
    methods = {
        "ours": lambda case: segment_targets(case.image, case.detection, segmenter, params),
        "plain, float32": lambda case: plain_box(plain, case, segmenter.device, half=False),
    }
    if half_precision(segmenter.device) and not quick:
        methods["plain, bfloat16"] = lambda case: plain_box(plain, case, segmenter.device, half=True)
    for method in () if quick else methods.values():  # the first call loads and plans
        method(cases[0])
    rows = []
    for case in cases:
        for name, method in methods.items():
            start = time.perf_counter()
            found = method(case)
            seconds = time.perf_counter() - start
            label_verdict = verdict(case, found, project)[0] if name == "ours" else ""
            rows.append((case.game, name, iou(xyxy(found), case.truth), seconds, label_verdict))
    return pd.DataFrame(rows, columns=["game", "method", "iou", "seconds", "verdict"])


def plain_predictor(weights: str):
    """Build SAM2ImagePredictor as in its README."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    model = build(CONFIGS[weights], 1024)
    load(model, require(weights))
    return SAM2ImagePredictor(model.to(best_device()).eval())


def plain_box(predictor, case: Case, device: str, half: bool) -> pd.DataFrame:
    """Predict the box of the mask with the designator as a box prompt."""
    import torch

    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=half):
        predictor.set_image(case.image)
        masks, *_ = predictor.predict(box=case.designator, multimask_output=False)
    window = Crop.of_mask(masks[0] > 0)
    return pd.DataFrame([window.box] if window else [], columns=BOX)


def ablation(
    footage: Path, cases: Sequence[Case], weights: str, project: Project, methods: Mapping[str, Method]
) -> pd.DataFrame:
    """Run the ablation: columns game, method, iou, one row per case and method."""
    params = project.params.masks
    segmenters = {
        px: build_segmenter(f"sam2:{weights}", params.model_copy(update={"input_px": px, "second_look": 1.0}))
        for px in {method.input_px for method in methods.values()}
    }
    beside = {
        method.input_px: segmenters[method.input_px] for method in methods.values() if method.neighbours
    }
    rows = []
    for case in cases:
        near = neighbours(footage, case, project)
        seen = [candidates_of_case(case, 0.0, segmenters, params)]
        seen += [candidates_of_case(other, time_s, beside, params) for other, time_s in near]
        rows += [
            (case.game, name, iou(box_by(method, seen, params), case.truth))
            for name, method in methods.items()
        ]
    for case in map(enlarged, cases):
        if np.ptp(case.truth[[0, 2]]) >= ENLARGED_LEAST:
            seen = [candidates_of_case(case, 0.0, segmenters, params)]
            rows += [
                (LARGE, name, iou(box_by(method, seen, params), case.truth))
                for name, method in methods.items()
            ]
    return pd.DataFrame(rows, columns=["game", "method", "iou"])


def neighbours(footage: Path, case: Case, project: Project) -> list[tuple[Case, float]]:
    """Find the same object in the sampled frames before and after, with their distance in seconds."""
    path = footage / case.clip
    step = round(float(probe(path).fps) / project.params.extracted_frames.fps)
    detector = detector_of(case.clip, project)
    tables = [pd.DataFrame([case.designator], columns=BOX).assign(frame_index=case.frame_index)]
    images = {}
    wanted = {index for index in (case.frame_index - step, case.frame_index + step) if index >= 0}
    for frame in read_frames(path, wanted):
        images[frame.index] = frame.rgb()
        found = detector.detect([images[frame.index]])[0]
        tables.append(pd.DataFrame(found.xyxy.astype(float), columns=BOX).assign(frame_index=frame.index))
    detections = pd.concat(tables, ignore_index=True).assign(class_name="")
    frames = pd.DataFrame({"frame_index": sorted([case.frame_index, *images])}).assign(shot=0)
    frames["time_s"] = (frames["frame_index"] - case.frame_index) / step / project.params.extracted_frames.fps
    params = project.params.masks
    objects = link(detections, frames, params.link_gap_s, params.link_speed)
    same = detections[objects == objects[0]].iloc[1:].merge(frames, on="frame_index")
    return [
        (replace(case, image=images[row["frame_index"]], detection=one(row[BOX])), row["time_s"])
        for _, row in same.iterrows()
    ]


def enlarged(case: Case) -> Case:
    """Enlarge the surroundings of the designator, as if they were near."""
    window = around(case.designator, ENLARGED_SIDES, *case.image.shape[:2])
    image = cv2.resize(window.cut(case.image), None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    designator, truth = (ENLARGED * window.to_crop(box) for box in (case.designator, case.truth))
    return replace(case, image=image, detection=one(designator), truth=truth)


def one(box: np.ndarray | pd.Series) -> sv.Detections:
    return from_boxes(np.asarray(box, float))


def candidates_of_case(
    case: Case, time_s: float, segmenters: dict[int, Segmenter], params: MasksParams
) -> FrameCandidates:
    proposed = {
        px: candidates_table(find_targets(case.image, one(case.designator), segmenter, params))
        for px, segmenter in segmenters.items()
    }
    return FrameCandidates(time_s, case.designator, proposed)


def box_by(method: Method, seen: Sequence[FrameCandidates], params: MasksParams) -> np.ndarray:
    """The box of the first frame's mask, float (1, 4), or (0, 4) if there is none."""
    if not method.vote:
        params = params.model_copy(update={"min_voters": len(method.prompt_names) * 3 + 1})
    seen = seen if method.neighbours else seen[:1]

    def candidates(frame: int, _: int) -> Sequence[Candidate]:
        proposed = seen[frame].candidates[method.input_px]
        first = read_candidates(proposed[proposed["prompt"].isin(method.first_prompt_names)])
        if method.second_look and best_score(first, seen[frame].designator, params) > params.second_look:
            return first
        return read_candidates(proposed[proposed["prompt"].isin(method.prompt_names)])

    rows = [
        {"frame_index": number, "detection_id": 0, "object_id": "0/0", **mask_columns(choice)}
        for number, frame in enumerate(seen)
        if (choice := choose(candidates(number, 0), frame.designator, params, trust=method.trust))
    ]
    if not rows or rows[0]["frame_index"] != 0:
        return np.zeros((0, 4))
    masks = pd.DataFrame(rows)
    if method.neighbours:
        known = [seen[number] for number in masks["frame_index"]]
        designators = np.array([frame.designator for frame in known])
        times = np.array([frame.time_s for frame in known])
        masks = settle(masks, designators, times, candidates, params)
    return xyxy(masks)[:1]


def summary(compared: pd.DataFrame) -> pd.DataFrame:
    """Median and lowest IoU of each game by method."""
    return compared.pivot_table("iou", "method", "game", aggfunc=["median", "min"], sort=False).round(3)


def speed(compared: pd.DataFrame) -> pd.DataFrame:
    """Median seconds per frame by method, and their ratio to ours."""
    seconds = compared.groupby("method", sort=False)["seconds"].median()
    return pd.DataFrame({"seconds": seconds.round(2), "times_ours": (seconds / seconds["ours"]).round(1)})


def ablation_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Median and lowest IoU of each game by method, and the difference of the mean from ours."""
    shown = table.pivot_table("iou", "method", "game", aggfunc=["median", "min"], sort=False)
    footage = table[table["game"] != LARGE].groupby("method")["iou"].mean()
    shown["mean", "to ours"] = footage - footage["ours"]
    return shown.reindex(table["method"].unique()).round(3)


if __name__ == "__main__":
    main()
