"""Stage 7: a detector fine-tuned on the dataset."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.core.trust import note_trained
from gotowce_dagster.labels.export import class_names
from gotowce_dagster.labels.provenance import leaks
from gotowce_dagster.training.engines.base import OnEpoch
from gotowce_dagster.training.engines.registry import ENGINES, tile_side
from gotowce_dagster.training.finetune import finetune
from gotowce_dagster.training.model_card import model_card
from gotowce_dagster.training.rounds import InRounds, train_on_crops, write_rounds
from gotowce_dagster.training.start import starting_weights

_log = logging.getLogger(__name__)

_SCORES = ["epoch", "precision", "recall", "mAP50", "mAP50_95"]


def run(project: Project, progress: Progress, on_epoch: OnEpoch = lambda epoch, metrics: None) -> None:
    """Train; write best.pt or best/, results.csv, metrics.json, args.yaml and MODEL_CARD.md.

    Training on crops also writes the contents of each crop (crops.csv), the proposals of each round
    (proposed.csv), the origin of every training box (provenance.parquet), and the table and models of the
    rounds (rounds.csv, rounds/; the model of the last round is the best one).

    Args:
        progress: called with epochs.
        on_epoch: called with each epoch's scores.

    Raises:
        InputError: the dataset leaks between its splits, or the starting weights are not trusted.
        MissingWeightsError: the weights are neither on this machine nor downloadable.
    """
    params, paths = project.params.finetuned_model, project.paths
    # Dagster's blocking check does not apply when this stage runs alone.
    if found := leaks(project):
        raise InputError(f"{paths.dataset}: {'; '.join(found)}; run yolo_dataset again before training")
    engine, (named, start) = ENGINES[params.engine], starting_weights(project)
    provenance = read_table(paths.dataset / "provenance.parquet", PROVENANCE)
    work = paths.work("finetuned_model")
    in_rounds: InRounds | None = None
    epochs = params.epochs * (1 if params.crops is None else params.rounds.count + 1)

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        loss = sum(value for name, value in metrics.items() if name.startswith("train_"))
        _log.info("epoch %d of %d: loss %.3g, mAP50 %.3g", epoch, epochs, loss, metrics["mAP50"])
        on_epoch(epoch, metrics)

    if params.crops is None:
        trained = finetune(paths.dataset, start, params, work, progress=progress, on_epoch=report)
    else:
        in_rounds = train_on_crops(
            paths.dataset, provenance, start, params, work, progress=progress, on_epoch=report
        )
        trained = in_rounds.trained
    if engine.suffix == "":
        # A folder of the hub's cache is named after its commit.
        trained = replace(trained, arguments=trained.arguments | {"model": named})
    history = trained.history
    if in_rounds:
        history = history[history["round"] == history["round"].max()]
    # Of equal epochs, ultralytics keeps the last.
    best = history[history["fitness"] == history["fitness"].max()].iloc[-1].to_dict()
    card = model_card(trained, best, provenance, list(class_names(paths.dataset).values()), engine.name)
    with fresh_dir(paths.model) as new:
        # If trained on crops, the model's input size for a frame differs from that of its training.
        crop_px = int(trained.arguments["imgsz"]) if in_rounds else 0
        arguments = trained.arguments | {"imgsz": params.imgsz, "tile_px": tile_side(params, crop_px)}
        arguments |= {"crop_px": crop_px} if in_rounds else {}
        _save(project, trained.weights, new / f"best{engine.suffix}", arguments)
        trained.history.to_csv(new / "results.csv", index=False, lineterminator="\n")
        scores = {name: best[name] for name in _SCORES} | {"epochs": trained.state.epoch}
        scores |= {"seconds": round(trained.state.seconds, 1)}
        if in_rounds:
            scores |= write_rounds(in_rounds, paths.dataset, provenance, new)
            (new / "rounds").mkdir()
            for number, file in enumerate(in_rounds.models[:-1]):
                _save(project, file, new / "rounds" / f"round-{number}{engine.suffix}", arguments)
        (new / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        (new / "args.yaml").write_text(yaml.safe_dump(arguments, sort_keys=False), encoding="utf-8")
        (new / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def _save(project: Project, checkpoint: Path, target: Path, arguments: Mapping[str, Any]) -> None:
    """Write a model to use, and note that it was trained here."""
    ENGINES[project.params.finetuned_model.engine].save(checkpoint, target, arguments)
    note_trained(target, project.paths.root)
