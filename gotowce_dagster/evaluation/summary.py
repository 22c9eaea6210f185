"""Numbers and notes about the dataset and the model, for their previews and the report."""

from pathlib import Path

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.labelling.summary import Summary
from gotowce_dagster.labels.export import class_names
from gotowce_dagster.labels.provenance import leaks
from gotowce_dagster.labels.split import SPLITS
from gotowce_dagster.training.model_folder import has_no_weights, read_arguments, read_metrics

FEW_OBJECTS = 20
"""With fewer labelled objects in training images a detector learns next to nothing."""


def yolo_dataset(project: Project) -> Summary:
    """Count images and objects by split and what was left out; note leaks and missing classes."""
    folder = project.paths.dataset
    provenance = read_table(folder / "provenance.parquet", PROVENANCE)
    left_out = pd.read_csv(folder / "left_out.csv")
    absent = left_out.loc[left_out["reason"] == "no labels", "video"]
    notes = [f"{video} has no labels yet, so the dataset contains none of its frames" for video in absent]
    numbers: dict[str, float | int | str] = {}
    for split in SPLITS:
        rows = provenance[(provenance["split"] == split) & (provenance["kind"] == "as-is")]
        numbers[f"{split}_images"], numbers[f"{split}_objects"] = len(rows), int(rows["objects"].sum())
    kinds = provenance["kind"].value_counts()
    numbers["also_without_marks"], numbers["unknown_frames"] = (
        int(kinds.get(kind, 0)) for kind in ("erased", "unknown")
    )
    provenance = provenance[provenance["kind"] == "as-is"]
    numbers["without_objects"] = int((provenance["objects"] == 0).sum())
    numbers["reviewed_images"] = int(provenance["reviewed"].sum())
    counted = left_out[left_out["frames"] > 0].groupby("reason")["frames"].sum()
    numbers |= {f"left_out_{reason}".replace("-", "_"): int(count) for reason, count in counted.items()}
    if (objects := int(numbers["train_objects"])) < FEW_OBJECTS:
        notes.append(
            f"only {objects} labelled object(s) to train on: expect a model that finds little, and scores "
            "that depend on chance. Add videos, or sample more frames (extracted_frames.fps)"
        )
    if project.params.yolo_dataset.near_duplicate_bits is None:
        notes.append(
            "frames of different splits may look alike (yolo_dataset.near_duplicate_bits is null), so the "
            "model's figures say nothing about other footage"
        )
    return Summary(numbers, [*notes, *leaks(project), *_unseen(folder), *_games_missing(provenance)])


def finetuned_model(project: Project) -> Summary:
    """Scores of the best epoch on the validation split, and the initial weights."""
    folder = project.paths.model
    arguments = read_arguments(folder)
    start = arguments["model"]
    notes = []
    if has_no_weights(start):
        notes.append(
            f"training started from random weights ({start}), which gives a weak model on so few images; to "
            "use pretrained weights, put yolo26n.pt in a folder, set GOTOWCE_WEIGHTS_DIR to it, and run "
            "`gotowce sync --refresh`"
        )
    return Summary(read_metrics(folder) | {"began_from": start, "device": arguments["device"]}, notes)


def _games_missing(provenance: pd.DataFrame) -> list[str]:
    """Describe the games without an object in a split: others may have the same class there."""
    games = provenance[provenance["objects"] > 0].groupby("profile")["split"].agg(set)
    return [
        f"{split} contains no object of the game {game}: "
        + ("the model cannot learn it" if split == "train" else "it cannot be evaluated on it")
        for game, splits in games.items()
        for split in SPLITS
        if split not in splits
    ]


def _unseen(folder: Path) -> list[str]:
    """Describe the classes without an object in a split."""
    notes = []
    for split in SPLITS:
        texts = [path.read_text(encoding="utf-8") for path in (folder / "labels" / split).iterdir()]
        shown = {int(line.split()[0]) for text in texts for line in text.splitlines()}
        means = (
            "the model cannot learn that class"
            if split == "train"
            else "that class cannot be evaluated on it"
        )
        lacking = [name for number, name in class_names(folder).items() if number not in shown]
        notes += [f"{split} contains no {name}: {means}" for name in lacking]
    return notes
