"""Set what the pipeline and its model find against what is known to be there."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.comparison.scoring import Case
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.detect import detect_frames
from gotowce_dagster.detectors.profile import Profile
from gotowce_dagster.device import best_device
from gotowce_dagster.errors import InputError
from gotowce_dagster.labels.cleaning import clean
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.reviewed import NO_OBJECT
from gotowce_dagster.labels.tracks import link
from gotowce_dagster.offline import keep_offline
from gotowce_dagster.params import Params
from gotowce_dagster.paths import Paths
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.own_colour import own_colour_shares
from gotowce_dagster.segmenters.targets import segment_targets
from gotowce_dagster.tables import MASKS, empty
from gotowce_dagster.training.finetune import read_arguments
from gotowce_dagster.trust import require_trusted
from gotowce_dagster.video.decode import read_frames

_BOX = ["x1", "y1", "x2", "y2"]
_KEY = ["frame_index", "detection_id"]
_NOT_MADE = {"shot": 0, "sharpness": np.nan, "phash": None, "kept": True, "reason": "", "file": ""}

Predict = Callable[[np.ndarray], sv.Detections]
"""RGB uint8 (H, W, 3) to boxes with confidence and ``data["class_name"]``."""


@dataclass(frozen=True, eq=False)
class KnownFrames:
    """The frames of a video that have truth, decoded from its file."""

    video: str
    truth: pd.DataFrame
    """Columns of tables.read_truth, and labelled NO_OBJECT too; of readable frames only."""
    images: Mapping[int, np.ndarray]
    """RGB uint8 (H, W, 3) by frame_index."""
    times: Mapping[int, float]
    """Seconds by frame_index."""
    unreadable: Sequence[int]
    """Frames with truth that the file does not give."""

    def boxes(self, frame_index: int, label: str) -> np.ndarray:
        """xyxy (n, 4) of the rows with that label."""
        rows = self.truth[(self.truth["frame_index"] == frame_index) & (self.truth["label"] == label)]
        return rows[_BOX].to_numpy(float)

    def with_label(self, *labels: str) -> list[int]:
        """Frames that have a row with one of the labels, in order."""
        return sorted(set(self.truth.loc[self.truth["label"].isin(labels), "frame_index"]))

    def only(self, wanted: Set[int]) -> "KnownFrames":
        """Those of the frames that are wanted."""
        return KnownFrames(
            self.video,
            self.truth[self.truth["frame_index"].isin(list(wanted))],
            {index: image for index, image in self.images.items() if index in wanted},
            {index: time_s for index, time_s in self.times.items() if index in wanted},
            [index for index in self.unreadable if index in wanted],
        )


@dataclass(frozen=True, eq=False)
class Tables:
    """What the pipeline made of one video."""

    frames: pd.DataFrame
    detections: pd.DataFrame
    masks: pd.DataFrame


def joined(checked: pd.DataFrame, reviewed: pd.DataFrame) -> pd.DataFrame:
    """One truth of two: of a frame that is in both, reviewers tell the objects.

    Args:
        checked: columns of tables.read_truth.
        reviewed: as from labels.reviewed.known_objects.
    """
    both = checked["frame_index"].isin(reviewed["frame_index"])
    parts = [checked[~(both & (checked["label"] == "object"))], reviewed]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def known_frames(
    video: str, file: Path, truth: pd.DataFrame, limit: int, checked: Set[int] = frozenset()
) -> KnownFrames:
    """Decode the frames that a truth table names, evenly chosen where there are more than ``limit``.

    Args:
        checked: frames that do not compete with the others, nor the others with them: up to ``limit`` of
            each are chosen. A video that was reviewed as a whole would crowd out the few checked by hand.

    Raises:
        InputError: the file is no video.
    """
    named = np.unique(truth["frame_index"])
    is_checked = np.isin(named, list(checked))
    wanted = sorted(_evenly(named[is_checked], limit) + _evenly(named[~is_checked], limit))
    frames = {frame.index: frame for frame in read_frames(file, wanted)}
    readable = truth[truth["frame_index"].isin(list(frames))]
    return KnownFrames(
        video,
        readable,
        {index: frame.rgb() for index, frame in frames.items()},
        {index: frame.time_s for index, frame in frames.items()},
        [index for index in wanted if index not in frames],
    )


def label_known_frames(
    known: KnownFrames,
    tables: Tables,
    detectors: Sequence[Detector],
    segmenter: Callable[[], Segmenter],
    params: Params,
    *,
    profile: Profile,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the known frames through detection, masks and cleaning, among the frames of the pipeline.

    Rules that look at a frame's neighbours find there those the pipeline has labelled anyway.

    Args:
        segmenter: gives the segmenter; asked only if there is something to segment.
        profile: of the video.

    Returns:
        Rows of tables.DETECTIONS and of tables.LABELS of the known frames.
    """
    told = params.designator_detections
    found = detect_frames(known.video, known.images.items(), detectors, told.consensus)
    cut = [empty(MASKS)]
    for index, image in known.images.items():
        rows = found[found["frame_index"] == index]
        if rows.empty:
            continue
        names = {column: rows[column].to_numpy() for column in ("detection_id", "class_name")}
        designators = sv.Detections(rows[_BOX].to_numpy(float), data=names)
        masks = segment_targets(image, designators, segmenter(), params.masks)
        cut.append(masks.assign(video=known.video, frame_index=index, object_id=""))
    anew = pd.concat([part for part in cut if len(part)] or cut, ignore_index=True)
    anew["own_colour"] = own_colour_shares(anew, found, profile, known.images.get)
    frames = _among(tables.frames, _frames_of(known, tables.frames), known)
    detections = _among(tables.detections, found, known)
    masks = _among(tables.masks, anew, known)
    objects = link(detections, frames, params.masks.link_gap_s, params.masks.link_speed)
    named = detections[_KEY].assign(object_id=objects)
    masks = masks.drop(columns="object_id").merge(named, on=_KEY, validate="one_to_one")
    labels = clean(detections, masks, frames, params.cleaned_labels)
    return found, labels[labels["frame_index"].isin(list(known.images))].reset_index(drop=True)


def designator_cases(known: KnownFrames, detections: pd.DataFrame) -> list[Case]:
    """Designators found against those that are there; half hidden ones are neither right nor wrong."""
    return [
        Case(
            known.video,
            index,
            _boxes(detections[detections["frame_index"] == index]),
            sv.Detections(known.boxes(index, "designator")),
            known.boxes(index, "designator_partial"),
        )
        for index in known.with_label("designator", "designator_partial", "none")
    ]


def target_cases(known: KnownFrames, labels: pd.DataFrame) -> list[Case]:
    """Accepted labels against the objects that are there; where nothing is designated, against nothing."""
    accepted = labels[labels["verdict"] == "accept"]
    return [
        Case(
            known.video,
            index,
            _boxes(accepted[accepted["frame_index"] == index]),
            sv.Detections(known.boxes(index, "object")),
        )
        for index in known.with_label("object", "none", NO_OBJECT)
    ]


def model_cases(known: KnownFrames, predict: Predict) -> list[Case]:
    """The model's boxes against the objects that are there.

    Frames without a designator are left out: they may show objects that nobody has marked. Not so those that
    a reviewer confirmed as empty.
    """
    return [
        Case(known.video, index, predict(known.images[index]), sv.Detections(known.boxes(index, "object")))
        for index in known.with_label("object", NO_OBJECT)
    ]


def held_out_cases(dataset: Path, provenance: pd.DataFrame, predict: Predict) -> list[Case]:
    """The model's boxes against the labels of the test split.

    Args:
        dataset: its folder.
        provenance: rows of tables.PROVENANCE.
    """
    cases = []
    for row in provenance[provenance["split"] == "test"].to_dict("records"):
        picture, objects = read_objects(dataset, row["image"])
        cases.append(Case(row["video"], row["frame_index"], predict(picture), objects))
    return cases


def apart_from_training(known: KnownFrames, provenance: pd.DataFrame, gap_s: float) -> set[int]:
    """Known frames that lie in no stretch of the video the model was trained on, nor nearer than the gap."""
    trained = provenance[(provenance["split"] == "train") & (provenance["video"] == known.video)]
    spans = trained.groupby("block")["time_s"].agg(["min", "max"]).to_numpy()

    def is_apart(time_s: float) -> bool:
        return all(time_s <= start - gap_s or time_s >= end + gap_s for start, end in spans)

    return {index for index, time_s in known.times.items() if is_apart(time_s)}


def fine_tuned(paths: Paths) -> Predict:
    """The model that finetuned_model left in a project.

    Raises:
        InputError: there is none yet, or it is neither trained here nor known to git (trust.py).
    """
    imgsz = read_arguments(paths.model)["imgsz"]
    require_trusted(paths.model / "best.pt", paths.root)
    return load_model(paths.model / "best.pt", imgsz)


def load_model(weights: Path, imgsz: int) -> Predict:
    """A fine-tuned model as a function.

    Args:
        imgsz: long side of what it sees, pixels.

    Raises:
        InputError: the file is damaged, or holds something else than a model of ultralytics.
    """
    keep_offline()
    from ultralytics import YOLO

    try:
        model = YOLO(weights)
    except Exception as error:
        # What a damaged or rogue file raises is anything.
        why = " ".join(str(error).split())
        raise InputError(f"{weights}: not a model of ultralytics ({why}); train it again") from None
    device = best_device()

    def predict(image: np.ndarray) -> sv.Detections:
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        (result,) = model.predict(bgr, imgsz=imgsz, conf=0.001, device=device, verbose=False)
        return sv.Detections.from_ultralytics(result)

    return predict


def _evenly(numbers: np.ndarray, limit: int) -> list[int]:
    """So many of them, from the first to the last."""
    places = np.linspace(0, len(numbers) - 1, min(limit, len(numbers))).astype(int)
    return numbers[np.unique(places)].tolist()


def _frames_of(known: KnownFrames, frames: pd.DataFrame) -> pd.DataFrame:
    """Rows of tables.FRAMES for the known frames, in the shot of the sampled frame before them."""
    rows = pd.DataFrame({"frame_index": list(known.times), "time_s": list(known.times.values())})
    rows = rows.assign(**_NOT_MADE).sort_values("frame_index")
    if len(frames):
        before = frames["frame_index"].searchsorted(rows["frame_index"], side="right") - 1
        rows["shot"] = frames["shot"].to_numpy()[np.maximum(before, 0)]
    return rows


def _among(pipeline: pd.DataFrame, mine: pd.DataFrame, known: KnownFrames) -> pd.DataFrame:
    """The pipeline's rows with those of the known frames in their place."""
    others = pipeline[~pipeline["frame_index"].isin(list(known.images))]
    parts = [part for part in (others, mine) if len(part)] or [mine]
    return pd.concat(parts, ignore_index=True).sort_values("frame_index", kind="stable", ignore_index=True)


def _boxes(rows: pd.DataFrame) -> sv.Detections:
    return sv.Detections(
        xyxy=rows[_BOX].to_numpy(float).reshape(-1, 4),
        confidence=rows["confidence"].to_numpy(float),
        data={"class_name": rows["class_name"].to_numpy(dtype=str)},
    )
