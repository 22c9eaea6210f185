"""Training in rounds: a first model proposes what nobody marked, and the next one learns from that.

The first round learns from labels alone. Its model then looks at the frames it was trained on, and at those
without any mark. What it finds twice, as the picture is and mirrored, surely and at one place, is adopted as
a label of the next round; what it finds less surely is painted over there, so that it is taught neither as a
target nor as background; what it mistakes for a target though it keeps its place on the screen, as icons of
the HUD do, is shown to it as background. Every adopted box is kept with its round, score and frame.

Two looks rather than one score: a detector that is wrong about a nebula is rarely wrong about its mirror
image in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv
import yaml

from gotowce_dagster.config.params import RoundsParams, TrainingParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.files import fresh_dir, remove
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.labels.export import class_names, read_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.crops import Proposed, crop_side, target_sides, write_crops
from gotowce_dagster.training.finetune import OnEpoch, Trained, finetune
from gotowce_dagster.training.hud import hud_panels, usual_of
from gotowce_dagster.training.model import Predict, load_model
from gotowce_dagster.training.standouts import share_inside, stand_still

_ONE_OBJECT = 0.3
"""IoU from which a proposal and a label are of one object."""
_AROUND_PX, _AROUND = 256, 3
"""Side of the surroundings that are looked at twice: pixels, and long sides of the box, at least."""
_INSIDE = 0.5
"""Share of a box inside a panel of the HUD from which it belongs to the HUD."""
PROPOSED_COLUMNS = ["round", "video", "frame_index", "class_id", *BOX, "confidence", "use"]


@dataclass(frozen=True, eq=False)
class InRounds:
    """A training in rounds that is finished."""

    trained: Trained
    """Of the last round; its history has all rounds."""
    crops: pd.DataFrame
    """A row a crop of the last round: what it shows, and of which frame."""
    proposed: pd.DataFrame
    """PROPOSED_COLUMNS; use is ``adopted``, ``painted over`` or ``background``."""


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
    """Train on crops, in rounds; a run that was killed goes on at the epoch it had reached.

    Args:
        dataset: folder as stages.yolo_dataset writes it; only read.
        provenance: rows of tables.PROVENANCE of it.
        weights: a .pt file to start from, or the name of an architecture (.yaml).
        params: with ``crops``.
        work: folder for unfinished work.
        progress: called with epochs done, of all rounds.

    Raises:
        ValueError: params.crops is null.
    """
    if params.crops is None:
        raise ValueError("params.crops is null; use finetune for whole frames")
    rounds = params.rounds.count + 1
    px = crop_side(dataset, provenance, params.crops)
    crops_params = params.crops.model_copy(update={"px": px})
    proposals: dict[tuple[str, int], Proposed] = {}
    tables, histories = [], []
    start = weights
    for number in range(rounds):
        folder = work / f"crops-{number}"
        with fresh_dir(folder) as new:
            crops = write_crops(
                dataset, provenance, new, crops_params, seed=params.seed + number, proposals=proposals
            )
            names = class_names(dataset)
            data = {"train": "images/train", "val": "images/val", "names": names}
            (new / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        done = number * params.epochs
        trained = finetune(
            folder,
            start,
            params.model_copy(update={"imgsz": px}),
            work / f"round-{number}",
            progress=lambda epoch, total, done=done: progress(done + epoch, total * rounds),
            on_epoch=lambda epoch, metrics, done=done: on_epoch(done + epoch, metrics),
        )
        histories.append(trained.history.assign(round=number, epoch=trained.history["epoch"] + done))
        remove(folder)
        if number + 1 < rounds:
            predict = load_model(trained.weights, params.imgsz, params.tile_px, enlarge=False)
            proposals, found = propose(dataset, provenance, predict, params.rounds)
            tables.append(found.assign(round=number + 1))
            start = trained.weights
    proposed = pd.concat(tables) if tables else pd.DataFrame(columns=PROPOSED_COLUMNS)
    arguments = trained.arguments | {"model": Path(weights).name}
    whole = Trained(trained.weights, pd.concat(histories), arguments, trained.state, trained.device)
    return InRounds(whole, crops, proposed[PROPOSED_COLUMNS])


def propose(
    dataset: Path, provenance: pd.DataFrame, predict: Predict, params: RoundsParams
) -> tuple[dict[tuple[str, int], Proposed], pd.DataFrame]:
    """What a model sees in the training frames, and in frames without marks, that has no label.

    Returns:
        By (video, frame_index) what is adopted and what is doubtful, and the same as a table.
    """
    frames = _frames(provenance, params.frames)
    classes = {name: number for number, name in class_names(dataset).items()}
    proposals, rows = {}, []
    usual = {str(video): usual_of(dataset, some) for video, some in frames.groupby("video")}
    hud, sides = hud_panels(dataset, provenance), target_sides(dataset, provenance)
    for frame in frames.to_dict("records"):
        if frame["kind"] == "unknown":
            image, known = read_rgb(dataset / frame["image"]), np.zeros((0, 4))
        else:
            image, objects = read_objects(dataset, frame["image"])
            known = objects.xyxy
        found, sure = two_looks(image, predict, params)
        is_new = np.ones(len(found), bool)
        if len(known) and len(found):
            is_new = sv.box_iou_batch(found.xyxy, known).max(axis=1) < _ONE_OBJECT
        # An icon of the HUD may look like a target, but keeps its place: it is background for certain, and
        # worth learning as such.
        still = np.zeros(len(found), bool)
        if frame["profile"] in hud:
            still = share_inside(hud[frame["profile"]], found.xyxy) >= _INSIDE
        elif (shown_usually := usual[frame["video"]]) is not None:
            still = stand_still(image, shown_usually, found.xyxy)
        # Nor is a shot a target: it is smaller than any that the game has marked.
        still |= (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(axis=1) < params.smallest * sides[
            frame["profile"]
        ][0]
        still &= is_new
        is_new &= ~still
        adopted = is_new & sure
        numbers = np.array([classes[str(name)] for name in found.data.get("class_name", [])], int)
        key = (frame["video"], int(frame["frame_index"]))
        proposals[key] = Proposed(
            found.xyxy[adopted], numbers[adopted], found.xyxy[is_new & ~sure], found.xyxy[still]
        )
        uses = np.where(still, "background", np.where(sure, "adopted", "painted over"))
        shown = is_new | still
        for box, number, confidence, use in zip(
            found.xyxy[shown], numbers[shown], _confidence(found)[shown], uses[shown], strict=True
        ):
            named = dict(zip(BOX, box.tolist(), strict=True))
            rows.append(
                {
                    "video": key[0],
                    "frame_index": key[1],
                    "class_id": int(number),
                    **named,
                    "confidence": float(confidence),
                    "use": str(use),
                }
            )
    return proposals, pd.DataFrame(rows, columns=PROPOSED_COLUMNS[1:])


def two_looks(
    image: np.ndarray, predict: Callable[[np.ndarray], sv.Detections], params: RoundsParams
) -> tuple[sv.Detections, np.ndarray]:
    """What a model finds in a picture, and whether it finds it in the mirror image of its surroundings too.

    Returns:
        Boxes with a confidence of at least ``doubt``, and bool (n,): those that are as sure as ``adopt`` in
        both looks, at one place.
    """
    found = predict(image)
    found = found[np.flatnonzero(_confidence(found) >= params.doubt)]
    assert isinstance(found, sv.Detections)
    if not len(found):
        return found, np.zeros(0, bool)
    sure = _confidence(found) >= params.adopt
    for number in np.flatnonzero(sure):
        sure[number] = _is_in_mirror_image(image, found.xyxy[number], predict, params)
    return found, sure


def _is_in_mirror_image(
    image: np.ndarray, box: np.ndarray, predict: Callable[[np.ndarray], sv.Detections], params: RoundsParams
) -> bool:
    """Whether a model finds a box again, as sure, in its surroundings mirrored."""
    side = max(_AROUND_PX, int(_AROUND * (box[2:] - box[:2]).max()))
    height, width = image.shape[:2]
    x, y = (
        ((box[:2] + box[2:] - side) / 2)
        .round()
        .astype(int)
        .clip(0, [max(width - side, 0), max(height - side, 0)])
    )
    around = image[y : y + side, x : x + side]
    seen = predict(np.ascontiguousarray(around[:, ::-1]))
    boxes = seen.xyxy[_confidence(seen) >= params.adopt]
    if not len(boxes):
        return False
    span = around.shape[1]
    back = np.column_stack([span - boxes[:, 2], boxes[:, 1], span - boxes[:, 0], boxes[:, 3]])
    back += np.array([x, y, x, y])
    return bool(sv.box_iou_batch(box[None], back).max() >= params.box_iou)


def _frames(provenance: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Training frames, without their marks where there is such a picture, evenly chosen from each video."""
    rows = provenance[(provenance["split"] == "train") & ~provenance["reviewed"]]
    rows = rows.sort_values(["video", "frame_index", "kind"], ascending=[True, True, False])
    # Of a frame's pictures "unknown" and "erased" come before "as-is" then.
    rows = rows.drop_duplicates(["video", "frame_index"])
    if len(rows) <= limit:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, limit).astype(int)]


def _confidence(boxes: sv.Detections) -> np.ndarray:
    return np.zeros(len(boxes)) if boxes.confidence is None else boxes.confidence
