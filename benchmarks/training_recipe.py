"""What a training recipe is worth: train on some clips, score the three recalls on frames of others.

    python -m benchmarks.training_recipe PROJECT --truth FOLDER --train CLIPS --score CLIPS --out FOLDER
        [--set KEY=VALUE ...] [--start MODEL.pt]

PROJECT is a project whose videos are labelled and whose dataset is made; FOLDER has the clips, truth.csv and
complete.csv. CLIPS are names, each with a range of frames if only a part is meant, as in
``naev_neutral,oolite_red:0-800``. No frame that is scored may lie in a range that is trained on.
Prints one row a game and CPU seconds; the model, its proposals and the predictions stay in --out.
"""

import argparse
import json
import pickle
import resource
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from gotowce_dagster.config.params import TrainingParams, read_params
from gotowce_dagster.core.files import link_or_copy
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.core.truth import empty_complete_truth, read_complete_truth, read_truth
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.detect import detect_frames
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.evaluation.recalls import Seen, figures, look
from gotowce_dagster.training.engines.registry import ENGINES
from gotowce_dagster.training.model import Predict, load_model
from gotowce_dagster.training.rounds import train_on_crops
from gotowce_dagster.training.targets_and_marks import marks_in
from gotowce_dagster.video.decode import probe, read_frames

Part = Callable[[str, int], bool]
"""Whether a frame of a video belongs to a part of the footage."""


def part(text: str) -> Part:
    """The frames that CLIPS names."""
    ranges: dict[str, tuple[float, float]] = {}
    for name in text.split(","):
        clip, _, frames = name.partition(":")
        first, _, last = frames.partition("-")
        ranges[clip] = (float(first or 0), float(last or np.inf))
    return lambda video, index: video in ranges and ranges[video][0] <= index < ranges[video][1]


def cpu_seconds() -> float:
    """Of this process so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def changed(params: TrainingParams, settings: list[str]) -> TrainingParams:
    """Settings replaced, as ``crops.count=600``."""
    values = params.model_dump()
    for setting in settings:
        key, _, value = setting.partition("=")
        *folders, name = key.split(".")
        section = values
        for folder in folders:
            section = section[folder]
        section[name] = yaml.safe_load(value)
    return TrainingParams.model_validate(values)


def subset(dataset: Path, chosen: Part, target: Path) -> tuple[Path, pd.DataFrame]:
    """The frames of a dataset that belong to a part, as a dataset without a test split."""
    rows = read_table(dataset / "provenance.parquet", PROVENANCE)
    mine = [chosen(video, index) for video, index in zip(rows["video"], rows["frame_index"], strict=True)]
    rows = rows[mine].copy()
    # What would be tested is not scored here: it helps to choose the best epoch.
    rows.loc[rows["split"] == "test", "split"] = "val"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("images", "labels", "unknown", "data.yaml", "rejected.csv", "fly_bys.csv"):
        (target / name).symlink_to((dataset / name).resolve())
    (target / "cutouts").mkdir()
    trained = rows[rows["split"] == "train"]
    for video, index in zip(trained["video"], trained["frame_index"], strict=True):
        for file in (dataset / "cutouts").glob(f"{video}_{index:06d}_*.png"):
            if not (target / "cutouts" / file.name).exists():
                link_or_copy(file, target / "cutouts" / file.name)
    return target, rows


def score(project: Path, truth: Path, chosen: Part, predict: Predict) -> list[Seen]:
    """Look at all frames with truth of a part."""
    params = read_params(project / "params.yaml").designator_detections
    videos = yaml.safe_load((project / "data/videos.yaml").read_text())["videos"]
    seen = []
    for video, entry in videos.items():
        file = truth / entry["file"]
        rows = read_truth(truth / "truth.csv")
        boxed = rows[(rows["clip"] == file.name) & (rows["label"] == "object")]
        complete = read_complete_truth(truth / "complete.csv", probe(file), [file.name])
        complete = complete[complete["clip"] == file.name]
        complete = complete if len(complete) else empty_complete_truth()
        known = sorted({*boxed["frame_index"].astype(int), *complete["frame_index"].astype(int)})
        wanted = [index for index in known if chosen(video, index)]
        if not wanted:
            continue
        profile = read_profile(project / "data/profiles" / f"{entry['profile']}.toml")
        detectors = build_detectors(params.detectors, profile)
        seen += look(
            video,
            entry["profile"],
            {frame.index: frame.rgb() for frame in read_frames(file, wanted)},
            objects={
                int(index): some[["x1", "y1", "x2", "y2"]].to_numpy(float)
                for index, some in boxed.groupby("frame_index")
            },
            complete=complete,
            find_marks=lambda image, video=video, profile=profile, detectors=detectors: marks_in(
                detect_frames(video, [(0, image)], detectors, params.consensus).rows, profile
            ),
            predict=predict,
        )
    return seen


def row(seen: list[Seen], confidence: float) -> Mapping[str, str]:
    """The figures as fractions where counts are known."""
    scores = figures(seen, confidence)

    def share(name: str, of: str) -> str:
        total = int(scores.get(of, 0))
        return f"{round(scores[name] * total)}/{total}" if name in scores else "-"

    return {
        "marked": share("marked_recall", "marked_targets"),
        "erased": share("erased_recall", "marked_targets"),
        "unmarked": share("unmarked_recall", "unmarked_targets"),
        "precision": f"{scores['precision']:.2f}" if "precision" in scores else "-",
        "AP50": f"{scores['AP50']:.3f}" if "AP50" in scores else "-",
    }


def report_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
    """Print an epoch's loss and mAP50."""
    print(f"epoch {epoch}: loss {metrics['train_cls_loss']:.3f}, mAP50 {metrics['mAP50']:.3f}", flush=True)


def loaded(model: Path, params: TrainingParams) -> Predict:
    """A model with the settings it was trained with."""
    return load_model(model, params.imgsz, params.tile_px, enlarge=params.crops is None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    for name in ("--truth", "--out"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--train", "--score"):
        parser.add_argument(name, type=part, required=True)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    parser.add_argument("--start", default="yolo26n.pt")
    arguments = parser.parse_args()
    params = changed(read_params(arguments.project / "params.yaml").finetuned_model, arguments.settings)
    dataset, provenance = subset(
        arguments.project / "data/dataset", arguments.train, arguments.out / "dataset"
    )
    before = cpu_seconds()
    done = train_on_crops(
        dataset,
        provenance,
        arguments.start,
        params,
        arguments.out / "work",
        progress=lambda *_: None,
        on_epoch=report_epoch,
    )
    spent = cpu_seconds() - before
    model = arguments.out / "model.pt"
    ENGINES["yolo"].save(done.trained.weights, model, done.trained.arguments)
    done.proposed.to_csv(arguments.out / "proposed.csv", index=False)
    if len(done.proposed):
        print(done.proposed.groupby(["round", "video", "use"]).size().to_dict())
    before = cpu_seconds()
    seen = score(arguments.project, arguments.truth, arguments.score, loaded(model, params))
    (arguments.out / "seen.pkl").write_bytes(pickle.dumps(seen))
    scoring = cpu_seconds() - before
    name = f"{arguments.out.name} {json.dumps(arguments.settings)}"
    print(f"{name}: CPU s {spent:.0f} in training, {scoring:.0f} in scoring")
    for profile in sorted({one.profile for one in seen}):
        for confidence in (0.25, 0.4, 0.6):
            print(
                profile,
                confidence,
                row([one for one in seen if one.profile == profile], confidence),
                flush=True,
            )


if __name__ == "__main__":
    main()
