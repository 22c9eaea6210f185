"""Stage 7: a YOLO detector fine-tuned on the dataset."""

import json
from pathlib import Path

import pandas as pd
import yaml

from gotowce_dagster import weights
from gotowce_dagster.errors import InputError
from gotowce_dagster.files import fresh_dir
from gotowce_dagster.labels.export import class_names
from gotowce_dagster.pictures.curves import training_curves
from gotowce_dagster.progress import Progress
from gotowce_dagster.project import Project
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.stages.yolo_dataset import leaks
from gotowce_dagster.tables import PROVENANCE, read_table
from gotowce_dagster.training.finetune import OnEpoch, finetune, portable, read_arguments, read_metrics
from gotowce_dagster.training.model_card import model_card
from gotowce_dagster.trust import note_trained, require_trusted

_SCORES = ["epoch", "precision", "recall", "mAP50", "mAP50_95"]


def run(project: Project, progress: Progress, on_epoch: OnEpoch = lambda epoch, metrics: None) -> None:
    """Train; write best.pt, results.csv, metrics.json, args.yaml and MODEL_CARD.md.

    Args:
        progress: told epochs.
        on_epoch: told each epoch's scores.

    Raises:
        InputError: the dataset leaks between its splits, or nobody vouches for the weights to start from.
        MissingWeightsError: the chosen weights are neither here nor reachable.
    """
    params, paths = project.params.finetuned_model, project.paths
    # The blocking check may have been passed over: a run of this stage alone does not wait for it.
    if found := leaks(project):
        raise InputError(f"{paths.dataset}: {'; '.join(found)}; run yolo_dataset again before training")
    engine = project.engines["finetuned_model"]
    start = engine if is_random(engine) else weights.require(engine)
    if not is_random(engine):
        require_trusted(Path(start), project.paths.root)
    trained = finetune(
        paths.dataset, start, params, paths.work("finetuned_model"), progress=progress, on_epoch=on_epoch
    )
    fitness = trained.history["fitness"]
    best = (
        trained.history[fitness == fitness.max()].iloc[-1].to_dict()
    )  # of equals ultralytics keeps the last
    provenance = read_table(paths.dataset / "provenance.parquet", PROVENANCE)
    card = model_card(trained, best, provenance, list(class_names(paths.dataset).values()))
    with fresh_dir(paths.model) as new:
        portable(trained.weights, new / "best.pt", trained.arguments)
        note_trained(new / "best.pt", project.paths.root)
        trained.history.to_csv(new / "results.csv", index=False, lineterminator="\n")
        scores = {name: best[name] for name in _SCORES} | {"epochs": trained.state.epoch}
        scores |= {"seconds": round(trained.state.seconds, 1)}
        (new / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        (new / "args.yaml").write_text(yaml.safe_dump(trained.arguments, sort_keys=False), encoding="utf-8")
        (new / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def preview(project: Project) -> Preview:
    """The best epoch's scores on the validation frames, and the curves."""
    folder = project.paths.model
    told = read_arguments(folder)
    start = told["model"]
    notes = []
    if is_random(start):
        notes.append(
            f"training began from random weights ({start}): without pretrained weights a model of so few "
            "pictures stays weak; put yolo26n.pt into a folder, set GOTOWCE_WEIGHTS_DIR to it, and run "
            "`gotowce sync --refresh`"
        )
    curves = training_curves(pd.read_csv(folder / "results.csv"))
    return Preview(read_metrics(folder) | {"began_from": start, "device": told["device"]}, curves, notes)


def is_random(engine: str) -> bool:
    """Whether an engine is an architecture without weights."""
    return Path(engine).suffix == ".yaml"
