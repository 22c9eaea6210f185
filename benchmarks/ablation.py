"""What each ingredient of the training is worth: train without it, score the three recalls on other frames.

    python -m benchmarks.ablation PROJECT --truth FOLDER --out FOLDER
        [--seeds 1 2 3] [--folds A B] [--only NAME ...] [--set KEY=VALUE ...] [--start MODEL.pt]

PROJECT is a project whose videos are labelled and whose dataset is made; FOLDER has the clips, truth.csv and
complete.csv. Finished trainings are kept in --out/results.csv, so that a run that was stopped goes on. Prints
a Markdown table with the figures of each recipe and game over all folds and seeds.

The first round alone costs no training of its own: its model is that of the whole recipe before proposals, so
it has trained half as long.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.training_recipe import (
    changed,
    cpu_seconds,
    loaded,
    part,
    report_epoch,
    score,
    subset,
)
from gotowce_dagster.config.params import TrainingParams, read_params
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.tables import PROVENANCE, empty
from gotowce_dagster.core.truth import COMPLETE_IGNORED, read_complete_truth
from gotowce_dagster.evaluation.recalls import Seen, figures
from gotowce_dagster.labels.export import label_file
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.engines.registry import ENGINES
from gotowce_dagster.training.rounds import train_on_crops
from gotowce_dagster.video.decode import probe, read_frames

FOLDS = {
    "A": ("naev_neutral,naev_negative,oolite_red:0-800", "naev_hostile,oolite_red:860-"),
    "B": ("naev_hostile,oolite_red:860-", "naev_neutral,naev_negative,oolite_red:0-800"),
}
"""Clips to train on and to score, see benchmarks/training_recipe.py."""

WHOLE, FIRST_ROUND, BY_HAND = "whole", "no-proposals", "by-hand"
WITHOUT = {
    "no-erasing": ["crops.erased=0"],
    "no-pasting": ["crops.pasted=[0,0]", "crops.marked=0"],
    "no-sparing": ["crops.standouts=0", "rounds.doubt=0.5"],
    "no-marks": ["crops.marked=0"],
}
"""Settings that remove an ingredient; --set rounds.count=0 shows what each is worth to the first round."""
RECIPES = {
    WHOLE: "whole recipe",
    FIRST_ROUND: "without proposals (first round only)",
    "no-erasing": "without erased marks",
    "no-pasting": "without pasted targets",
    "no-sparing": "without sparing what may be a target",
    "no-marks": "without marks in other colours",
    BY_HAND: "only what humans boxed, no pasted targets",
}
"""Titles by the name of the recipe."""
_CONFIDENCES = (0.25, 0.5)


@dataclass(frozen=True)
class Job:
    """One training to do."""

    recipe: str
    fold: str
    seed: int


def jobs(recipes: list[str], folds: list[str], seeds: list[int]) -> Iterator[Job]:
    """Trainings in the order in which a table is first whole: by seed, then by fold."""
    for seed in seeds:
        for fold in folds:
            for recipe in recipes:
                if recipe != FIRST_ROUND:
                    yield Job(recipe, fold, seed)


def by_hand(project: Path, truth: Path, clips: str, target: Path) -> tuple[Path, pd.DataFrame]:
    """A dataset of the complete frames of some clips: what humans boxed, and nothing else.

    What they called ``unsure`` is painted over, and ``other`` is background, as in reviews.
    """
    chosen = part(clips)
    (target / "cutouts").mkdir(parents=True, exist_ok=True)
    for kind in ("images", "labels"):
        (target / kind / "train").mkdir(parents=True, exist_ok=True)
    names = yaml.safe_load((project / "data/dataset/data.yaml").read_text())["names"]
    (target / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "names": names}))
    frames, refused = [], []
    for video, entry in yaml.safe_load((project / "data/videos.yaml").read_text())["videos"].items():
        file = truth / entry["file"]
        complete = read_complete_truth(truth / "complete.csv", probe(file), [file.name])
        complete = complete[complete["clip"] == file.name]
        wanted = sorted(int(index) for index in complete["frame_index"].unique() if chosen(video, index))
        for frame in read_frames(file, wanted):
            rows = complete[complete["frame_index"] == frame.index]
            objects = rows[~rows["label"].isin([*COMPLETE_IGNORED, "none"])]
            image, picture = f"images/train/{video}_{frame.index:06d}.jpg", frame.rgb()
            write_picture(picture, target / image, 95)
            label_file(target, image).write_text(_lines(objects, picture.shape[:2]))
            ignored = rows[rows["label"].isin(COMPLETE_IGNORED)]
            refused.append(ignored.assign(split="train", video=video, class_name=ignored["label"]))
            frames.append(
                {
                    "image": image,
                    "kind": "as-is",
                    "origin": "reviewed",
                    "profile": entry["profile"],
                    "video": video,
                    "frame_index": frame.index,
                    "time_s": frame.time_s,
                    "block": 0,
                    "objects": len(objects),
                    "reviewed": True,
                }
            )
    columns = ["split", "video", "frame_index", "class_name", *BOX]
    pd.concat(refused)[columns].to_csv(target / "rejected.csv", index=False)
    # What flies by is found in recordings, without a human: here humans say all that is known.
    pd.DataFrame(columns=["video", "frame_index", *BOX]).to_csv(target / "fly_bys.csv", index=False)
    # So few frames are both learned and validated on: the last epoch is as good a choice as the best one.
    splits = [pd.DataFrame(frames).assign(split=split) for split in ("train", "val")]
    return target, pd.concat(splits, ignore_index=True).reindex(columns=empty(PROVENANCE).columns)


def train(job: Job, arguments: argparse.Namespace, params: TrainingParams) -> dict[str, list[Seen]]:
    """Train one recipe, and look at the frames to score; of the whole recipe, with its first round too."""
    trained, scored = FOLDS[job.fold]
    out = arguments.out / f"{job.fold}-{job.seed}-{job.recipe}"
    params = params.model_copy(update={"seed": job.seed})
    if job.recipe == BY_HAND:
        dataset, provenance = by_hand(arguments.project, arguments.truth, trained, out / "dataset")
        # As many epochs in one round as the whole recipe has in all, on as many crops.
        rounds = params.rounds.model_copy(update={"count": 0})
        epochs = params.epochs * (params.rounds.count + 1)
        params = params.model_copy(update={"rounds": rounds, "epochs": epochs})
    else:
        params = changed(params, WITHOUT.get(job.recipe, []))
        dataset, provenance = subset(arguments.project / "data/dataset", part(trained), out / "dataset")
    done = train_on_crops(
        dataset,
        provenance,
        arguments.start,
        params,
        out / "work",
        progress=lambda *_: None,
        on_epoch=report_epoch,
    )
    models = {job.recipe: done.models[-1]}
    if job.recipe == WHOLE and len(done.models) > 1:
        models[FIRST_ROUND] = done.models[0]
    seen = {}
    for number, (recipe, weights) in enumerate(models.items()):
        ENGINES["yolo"].save(weights, out / f"model-{number}.pt", done.trained.arguments)
        predict = loaded(out / f"model-{number}.pt", params)
        seen[recipe] = score(arguments.project, arguments.truth, part(scored), predict)
    return seen


def rows_of(job: Job, seen: Mapping[str, list[Seen]], seconds: float) -> list[dict]:
    """Counts by game and confidence, which add up over folds and seeds, and AP50."""
    rows = []
    for recipe, frames in seen.items():
        for profile in sorted({one.profile for one in frames}):
            for confidence in _CONFIDENCES:
                measured = figures([one for one in frames if one.profile == profile], confidence)
                rows.append(
                    {
                        "recipe": recipe,
                        "fold": job.fold,
                        "seed": job.seed,
                        "game": profile,
                        "confidence": confidence,
                        **{name: measured.get(name) for name in _FIGURES},
                        "cpu_s": round(seconds),
                    }
                )
    return rows


_FIGURES = (
    "marked_targets",
    "marked_recall",
    "erased_recall",
    "unmarked_targets",
    "unmarked_recall",
    "precision",
    "AP50",
)


def table(results: pd.DataFrame, confidence: float) -> str:
    """Markdown: recalls added up over folds and seeds, precision and AP50 as means over them."""
    results = results[results["confidence"] == confidence]
    lines = [
        f"At a confidence of {confidence}:",
        "",
        "| recipe | game | runs | marked | same, mark erased | unmarked | precision | AP50 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for recipe, title in RECIPES.items():
        for game, some in results[results["recipe"] == recipe].groupby("game"):
            cells = [
                _share(some, "marked_recall", "marked_targets"),
                _share(some, "erased_recall", "marked_targets"),
                _share(some, "unmarked_recall", "unmarked_targets"),
                f"{some['precision'].mean():.2f}",
                f"{some['AP50'].mean():.3f}",
            ]
            lines.append(f"| {title} | {game} | {len(some)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _share(rows: pd.DataFrame, name: str, of: str) -> str:
    return f"{(rows[name] * rows[of]).sum():.0f} of {rows[of].sum():.0f}"


def _lines(objects: pd.DataFrame, shape: tuple[int, int]) -> str:
    """Boxes as YOLO text, all of the first class."""
    size = [shape[1], shape[0]] * 2
    lines = ""
    for x1, y1, x2, y2 in xyxy(objects) / size:
        lines += f"0 {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    for name in ("--truth", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--folds", nargs="+", choices=FOLDS, default=list(FOLDS))
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    parser.add_argument("--start", default="yolo26n.pt")
    arguments = parser.parse_args()
    params = changed(read_params(arguments.project / "params.yaml").finetuned_model, arguments.settings)
    file = arguments.out / "results.csv"
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["recipe", "fold", "seed"])
    for job in jobs(arguments.only, arguments.folds, arguments.seeds):
        is_done = (results[["recipe", "fold", "seed"]] == [job.recipe, job.fold, job.seed]).all(axis=1)
        if is_done.any():
            continue
        before = cpu_seconds()
        seen = train(job, arguments, params)
        new = pd.DataFrame(rows_of(job, seen, cpu_seconds() - before))
        results = pd.concat([results, new], ignore_index=True) if len(results) else new
        results.to_csv(file, index=False)
        print(job, new.to_string(), sep="\n", flush=True)
    for confidence in _CONFIDENCES:
        print(table(results, confidence), end="\n\n")


if __name__ == "__main__":
    main()
