"""Training in rounds: a model proposes labels for unlabelled objects, and the next one is trained on them.

The first round is trained on labels alone. Its model then searches the frames it was trained on and those
without marks (proposals.py); the next round starts from that model and is trained on its proposals too.
Rounds end when a model adopts hardly more labels than the one before.

Unfinished models and proposals are in the work folder, so an interrupted run resumes where it stopped.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from gotowce_dagster.config.params import RoundsParams, TrainingParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.files import fresh_dir, fresh_file, remove
from gotowce_dagster.core.memory import give_back
from gotowce_dagster.core.progress import Progress, in_log
from gotowce_dagster.core.tables import TAUGHT, write_table
from gotowce_dagster.labels.export import class_names, read_boxes
from gotowce_dagster.training.crops import Proposals, Proposed, crop_side, write_crops
from gotowce_dagster.training.engines.base import OnEpoch
from gotowce_dagster.training.engines.registry import tile_side
from gotowce_dagster.training.finetune import Trained, finetune
from gotowce_dagster.training.model import load_model
from gotowce_dagster.training.proposals import (
    PROPOSED_COLUMNS,
    as_proposals,
    propose,
    questions,
    searched_frames,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class InRounds:
    """A finished training in rounds."""

    trained: Trained
    """Of the last round; its history has all rounds."""
    crops: pd.DataFrame
    """One row per crop of the last round: its frame and its content."""
    proposed: pd.DataFrame
    """round and PROPOSED_COLUMNS: the proposals that each round after the first was trained on."""
    models: list[Path]
    """The weights of each round."""
    rounds: pd.DataFrame
    """One row per round: its training boxes by origin, scores on the validation crops, and seconds."""


def train_on_crops(
    dataset: Path,
    provenance: pd.DataFrame,
    weights: str | Path,
    params: TrainingParams,
    work: Path,
    *,
    progress: Progress,
    on_epoch: OnEpoch,
) -> InRounds:
    """Train on crops, in rounds; an interrupted run resumes at the epoch it had reached.

    Args:
        dataset: folder written by stages.yolo_dataset; only read.
        provenance: rows of tables.PROVENANCE of it.
        weights: weights to start from, or the name of an architecture (.yaml).
        params: with ``crops``.
        work: folder for unfinished work.
        progress: called with epochs done, of all rounds.

    Raises:
        ValueError: params.crops is null.
    """
    if params.crops is None:
        raise ValueError("params.crops is null; use finetune for whole frames")
    count = params.rounds.count + 1
    px = crop_side(dataset, provenance, params.crops)
    crops_params = params.crops.model_copy(update={"px": px})
    refused = refused_proposals(dataset)
    proposals: Proposals = refused
    found = pd.DataFrame(columns=PROPOSED_COLUMNS)
    tables, histories, models, rows = [], [], [], []
    searched: set[Path] = set()
    start, done = weights, 0
    for number in range(count):
        folder = work / f"crops-{number}"
        _log.info("round %d of at most %d: drawing crops", number, count - 1)
        with fresh_dir(folder) as new:
            crops = write_crops(
                dataset, provenance, new, crops_params, seed=params.seed + number, proposals=proposals
            )
            names = class_names(dataset)
            data = {"train": "images/train", "val": "images/val", "names": names}
            (new / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        trained = finetune(
            folder,
            start,
            params.model_copy(update={"imgsz": px}),
            work / f"round-{number}",
            progress=lambda epoch, total, done=done: progress(done + epoch, total * count),
            on_epoch=lambda epoch, metrics, done=done: on_epoch(done + epoch, metrics),
        )
        give_back()  # what the trainer has used, before the search takes as much again
        history = trained.history.assign(round=number, epoch=trained.history["epoch"] + done)
        histories.append(history)
        models.append(trained.weights)
        rows.append(_round(number, provenance, found, params.rounds, trained))
        done += params.epochs
        remove(folder)
        if number + 1 == count:
            break
        before = found
        frames = searched_frames(provenance, params.rounds.frames, params.rounds.hold)
        _log.info("round %d: searching %d frames for unmarked targets", number, len(frames))
        file = _search(dataset, provenance, trained.weights, params, work, px=px, number=number)
        searched.add(file)
        found = pd.read_parquet(file)
        _log.info("round %d: %d boxes to learn as labels", number, _adopted(found))
        if number and _gains_too_little(found, before, params.rounds):
            _log.info("no further round: the one before had nearly as many")
            break
        proposals = {**as_proposals(found, frames), **refused}
        tables.append(found.assign(round=number + 1))
        start = trained.weights
    progress(params.epochs * count, params.epochs * count)
    for older in set(work.glob("proposed-*.parquet")) - searched:
        remove(older)
    columns = ["round", *PROPOSED_COLUMNS]
    proposed = pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)
    arguments = trained.arguments | {"model": Path(weights).name}
    # Epochs are counted over all rounds, as in the history.
    spent = sum(history["seconds"].max() for history in histories)
    state = replace(trained.state, epoch=done - params.epochs + trained.state.epoch, seconds=spent)
    whole = Trained(trained.weights, pd.concat(histories), arguments, state, trained.device)
    return InRounds(whole, crops, proposed, models, pd.DataFrame(rows))


def write_rounds(done: InRounds, dataset: Path, provenance: pd.DataFrame, folder: Path) -> dict[str, float]:
    """Write the training boxes, proposals and scores of the rounds; returns their numbers.

    Args:
        provenance: rows of tables.PROVENANCE of the dataset.
        folder: gets provenance.parquet, crops.csv, proposed.csv and rounds.csv.
    """
    write_table(taught(dataset, provenance, done.proposed), TAUGHT, folder / "provenance.parquet")
    for name, rows in (("crops", done.crops), ("proposed", done.proposed), ("rounds", done.rounds)):
        rows.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    last = done.proposed[done.proposed["round"] == done.proposed["round"].max()]
    uses = last["use"].value_counts()  # what the last round learned from; each round's proposals are its own
    return {
        "rounds": len(done.rounds),
        "adopted": int(uses.get("adopted", 0)),
        "painted_over": int(uses.get("painted over", 0)),
    }


def taught(dataset: Path, provenance: pd.DataFrame, proposed: pd.DataFrame) -> pd.DataFrame:
    """All boxes of a training, with their origin: rows of tables.TAUGHT.

    Args:
        provenance: rows of tables.PROVENANCE of the dataset.
        proposed: as in InRounds.
    """
    names = class_names(dataset)
    rows = []
    as_is = (provenance["split"] == "train") & (provenance["kind"] == "as-is")
    for frame in provenance[as_is].to_dict("records"):
        objects = read_boxes(dataset, frame["image"])
        rows += [
            {
                "round": 0,
                "video": frame["video"],
                "frame_index": frame["frame_index"],
                "class_name": str(name),
                **dict(zip(BOX, box.tolist(), strict=True)),
                "origin": frame["origin"],
                "use": "label",
            }
            for box, name in zip(objects.xyxy, objects.data["class_name"], strict=True)
        ]
    refused = rejected_proposals(dataset)
    refused = refused[refused["split"] == "train"]
    refused = refused.assign(
        round=0,
        origin="rejected",
        use=refused["class_name"].map({"unsure": "painted over"}).fillna("background"),
    )
    added = proposed.assign(
        class_name=[names[number] for number in proposed["class_id"]],
        origin="proposed",
        use=proposed["use"].replace("adopted", "label"),
    )
    tables = [some for some in (pd.DataFrame(rows), refused, added) if len(some)]
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    whole = whole.reindex(columns=TAUGHT.names).astype({"track": object})
    order = ["round", "video", "frame_index", *BOX]
    return whole.sort_values(order, ignore_index=True).fillna({"track": "", "held": 0})


def rejected_proposals(dataset: Path) -> pd.DataFrame:
    """Boxes that reviewers rejected: split, video, frame_index, class_name and the box.

    Rejected proposals, and boxes of the classes ``other`` and ``unsure``.
    """
    return pd.read_csv(dataset / "rejected.csv", dtype={"video": str, "class_name": str})


def refused_proposals(dataset: Path) -> dict[tuple[str, int], Proposed]:
    """Boxes that reviewers rejected, by frame: background, or painted over if they are unsure.

    These frames are reviewed, so they get no other proposals.
    """
    rows = rejected_proposals(dataset)
    return {
        (str(video), int(index)): Proposed(
            doubtful=some.loc[some["class_name"] == "unsure", BOX].to_numpy(float),
            still=some.loc[some["class_name"] != "unsure", BOX].to_numpy(float),
        )
        for (video, index), some in rows[rows["split"] == "train"].groupby(["video", "frame_index"])
    }


def _search(
    dataset: Path,
    provenance: pd.DataFrame,
    weights: Path,
    params: TrainingParams,
    work: Path,
    *,
    px: int,
    number: int,
) -> Path:
    """The file in the work folder with the proposals of a round's model; written unless it exists."""
    tile_px = tile_side(params, px)
    settings = [params.rounds.model_dump(exclude={"count", "least_gain"}), params.imgsz, tile_px]
    shown = provenance[["image", "phash", "split", "kind", "reviewed"]].to_csv(index=False)
    key = f"{settings}{shown}{content_sha256(weights)}"
    digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    file = work / f"proposed-{digest}.parquet"
    if not file.exists():
        predict = load_model(weights, params.imgsz, tile_px, enlarge=False)
        progress = in_log(_log, f"round {number}: frames searched")
        _, table = propose(dataset, provenance, predict, params.rounds, progress)
        with fresh_file(file) as new:
            table.to_parquet(new)
    return file


def _round(
    number: int, provenance: pd.DataFrame, proposed: pd.DataFrame, params: RoundsParams, trained: Trained
) -> Mapping[str, object]:
    """A row of the table of rounds."""
    train = provenance[(provenance["split"] == "train") & (provenance["kind"] == "as-is")]
    labels = train.groupby(train["origin"].str.split().str[0])["objects"].sum()
    uses = proposed["use"].value_counts()
    best = trained.history.loc[trained.history["fitness"].idxmax()]
    return {
        "round": number,
        **{f"labels_{origin}": int(labels.get(origin, 0)) for origin in ("marked", "propagated", "reviewed")},
        "labels_proposed": int(uses.get("adopted", 0)),
        "painted_over": int(uses.get("painted over", 0)),
        "questions": len(questions(proposed, params)),
        "background": int(uses.get("background", 0)),
        "mAP50": float(best["mAP50"]),
        "seconds": round(trained.state.seconds, 1),
    }


def _gains_too_little(found: pd.DataFrame, before: pd.DataFrame, params: RoundsParams) -> bool:
    adopted = _adopted(found)
    return not adopted or adopted < (1 + params.least_gain) * _adopted(before)


def _adopted(proposed: pd.DataFrame) -> int:
    return int(np.count_nonzero(proposed["use"] == "adopted"))
