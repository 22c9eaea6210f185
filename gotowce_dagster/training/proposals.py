"""Proposals of a model in frames that are not completely labelled, confirmed by a second pass and by time.

A frame is searched as it is, and again mirrored around each confident detection: a detector that
is wrong about a nebula is rarely wrong about its mirror image in the same way. Detections are linked through
the frames of a video, together with the labels. A box is adopted as a label if both passes found it with high
confidence, or if its track was found so, or labelled, in enough frames around it. The rest is painted over in
training, so that it is neither a target nor background; its persistent tracks are questions for reviewers.
Boxes in a panel of the HUD are background, or static boxes where no panels are known, boxes far smaller
than any target, and what flies by. A box somewhat smaller than any target is adopted only if its track
persists, and is background if it is in one frame only although the frames around it were searched: shots are
detected as confidently as targets. Faint boxes that do not persist are background too: if all of them were
painted over, a model could never learn that a star is no target.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import RoundsParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.labels.export import class_names, read_objects
from gotowce_dagster.labels.tracks import link
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.crops import Proposals, Proposed, target_sides
from gotowce_dagster.training.fly_bys import fly_by, read_fly_bys
from gotowce_dagster.training.hud import hud_panels, usual_of
from gotowce_dagster.training.look_alikes import have_look_alikes, in_crowds
from gotowce_dagster.training.model import Predict
from gotowce_dagster.training.standouts import share_inside, stand_still

_ONE_OBJECT = 0.3
"""IoU from which a proposal and a label are the same object."""
_AROUND_PX, _AROUND = 256, 3
"""Side of the region of the second pass: at least so many pixels, and long sides of the box."""
_INSIDE = 0.5
"""Share of a box inside a panel of the HUD from which it belongs to the HUD."""
_GAP_S, _SPEED = 2.0, 8.0
"""A track ends after so many seconds without a box; its maximum speed in own sides per second."""
_PERSISTS = 2
"""Number of frames in which a box must be seen to be adopted, if frames around it were searched."""
_LIKELY = 0.5
"""Share of ``adopt`` from which a persistent box is a question for reviewers."""
_KEY = ["video", "frame_index"]
PROPOSED_COLUMNS = [*_KEY, "class_id", *BOX, "confidence", "use", "track", "held"]
"""use: ``adopted``, ``painted over`` or ``background``; held: number of frames with a box of its track."""


def propose(
    dataset: Path,
    provenance: pd.DataFrame,
    predict: Predict,
    params: RoundsParams,
    progress: Progress = silent,
) -> tuple[Proposals, pd.DataFrame]:
    """Propose labels for unlabelled objects in the training frames and in frames without marks.

    Args:
        progress: called with frames searched.

    Returns:
        By (video, frame_index) the adopted and the doubtful boxes, with an entry for each frame that was
        searched; and the same as a table of PROPOSED_COLUMNS.
    """
    frames = searched_frames(provenance, params.frames, params.hold)
    classes = {name: number for number, name in class_names(dataset).items()}
    usual = {str(video): usual_of(dataset, some) for video, some in frames.groupby("video")}
    hud, sides = hud_panels(dataset, provenance), target_sides(dataset, provenance)
    crowds, flying = in_crowds(dataset, provenance), read_fly_bys(dataset)
    found = [
        _look(
            dataset,
            frame,
            hud=hud.get(frame["profile"]),
            usual=usual[frame["video"]],
            smallest_px=sides[frame["profile"]][0],
            rare=frame["profile"] not in crowds,
            predict=predict,
            params=params,
            classes=classes,
            fly_bys=flying.get((frame["video"], int(frame["frame_index"])), np.zeros((0, 4))),
        )
        for frame in tracked(frames.to_dict("records"), len(frames), progress)
    ]
    seen = judged(pd.concat(found, ignore_index=True), frames, params)
    table = seen.loc[~seen["is_label"], PROPOSED_COLUMNS].reset_index(drop=True)
    return as_proposals(table, frames), table


def judged(seen: pd.DataFrame, frames: pd.DataFrame, params: RoundsParams) -> pd.DataFrame:
    """Link boxes through time, and decide how each is used.

    Args:
        seen: video, frame_index, class_id, x1 ... y2, confidence, and bool: is_label, sure, still, and small
            (somewhat smaller than any target).
        frames: rows of tables.PROVENANCE of the frames.

    Returns:
        The rows with track (empty for static boxes), held and use, which is meaningless for labels.
    """
    seen = seen.assign(track="", held=0)
    times = frames[[*_KEY, "time_s"]].assign(shot=frames["block"])
    for video, rows in seen[~seen["still"]].groupby("video"):
        names = link(rows.assign(class_name=rows["class_id"]), times[times["video"] == video], _GAP_S, _SPEED)
        seen.loc[rows.index, "track"] = f"{video}/" + names
    of_track = seen[seen["track"] != ""].groupby("track")
    seen.loc[seen["track"] != "", "held"] = of_track["frame_index"].transform("nunique")
    has_neighbour = _has_neighbour(seen, times)
    is_shot = seen["small"] & (seen["held"] == 1) & has_neighbour
    is_faint = (seen["confidence"] < params.faint) & (seen["held"] < params.hold) & has_neighbour
    # What is seen once only may be a target, but is no label: before a turning camera, which breaks tracks,
    # a bright star is as sure.
    is_lone = (seen["held"] < _PERSISTS) & has_neighbour
    vouched = seen["sure"] & ~seen["still"] & ~is_lone & ~(seen["small"] & (seen["held"] < params.hold))
    # A weak model has false positives nearly everywhere, so a track may continue through them: it is
    # trusted only between frames with high confidence.
    frame = seen["frame_index"].where(vouched).groupby(seen["track"])
    is_between = seen["frame_index"].between(frame.transform("min"), frame.transform("max"))
    believed = vouched | (is_between & (frame.transform("nunique") >= params.hold) & (seen["track"] != ""))
    is_background = seen["still"] | ((is_shot | is_faint) & ~believed)
    use = np.where(is_background, "background", np.where(believed, "adopted", "painted over"))
    return seen.assign(use=use)


def _has_neighbour(seen: pd.DataFrame, times: pd.DataFrame) -> pd.Series:
    """Whether another frame of the same shot, near enough in time to link boxes, was searched too."""
    ordered = times.sort_values(["video", "shot", "time_s"])
    step = ordered.groupby(["video", "shot"])["time_s"].diff().abs()
    of_next = step.groupby([ordered["video"], ordered["shot"]]).shift(-1)
    near = ordered.assign(near=(step <= _GAP_S) | (of_next <= _GAP_S))[[*_KEY, "near"]]
    return seen[_KEY].merge(near, on=_KEY, how="left")["near"].set_axis(seen.index)


def as_proposals(table: pd.DataFrame, frames: pd.DataFrame) -> Proposals:
    """Proposals by frame, with an entry for every frame that was searched."""
    by_frame = dict(list(table.groupby(_KEY)))

    def of(rows: pd.DataFrame, use: str) -> tuple[np.ndarray, np.ndarray]:
        some = rows[rows["use"] == use]
        return some[BOX].to_numpy(float).reshape(-1, 4), some["class_id"].to_numpy(int)

    proposals = {}
    for video, index in frames[_KEY].itertuples(index=False):
        rows = by_frame.get((video, index), table.iloc[:0])
        boxes, numbers = of(rows, "adopted")
        proposals[str(video), int(index)] = Proposed(
            boxes, numbers, of(rows, "painted over")[0], of(rows, "background")[0]
        )
    return proposals


def questions(table: pd.DataFrame, params: RoundsParams) -> pd.DataFrame:
    """The persistent proposals of low confidence, for reviewers.

    Only those with at least half the confidence of a label, so that reviews are worth their time.
    """
    is_likely = table["confidence"] >= _LIKELY * params.adopt
    return table[(table["use"] == "painted over") & (table["held"] >= params.hold) & is_likely]


def searched_frames(provenance: pd.DataFrame, limit: int, run: int) -> pd.DataFrame:
    """Training frames that no human has reviewed, without their marks where there is such a picture.

    Where there are more than ``limit``, runs of ``run`` frames are chosen, evenly spaced: a track needs
    frames that follow each other.
    """
    rows = provenance[(provenance["split"] == "train") & ~provenance["reviewed"]]
    rows = rows.sort_values([*_KEY, "kind"], ascending=[True, True, False])
    # Of a frame's pictures "unknown" and "erased" come before "as-is" then.
    rows = rows.drop_duplicates(_KEY)
    if len(rows) <= limit:
        return rows
    run = min(run, limit)
    starts = np.linspace(0, len(rows) - run, limit // run).astype(int)
    return rows.iloc[np.unique(starts[:, None] + np.arange(run))]


def surely_seen(
    image: np.ndarray,
    predict: Predict,
    params: RoundsParams,
    *,
    hud: np.ndarray | None,
    usual: np.ndarray | None,
    smallest_px: float,
    rare: bool,
) -> sv.Detections:
    """The boxes of a picture that are adopted whatever is found in the frames around it.

    Args:
        hud, usual, rare: as in is_background.
        smallest_px: long side of the smallest labelled targets.
    """
    found, sure = two_looks(image, predict, params)
    least_px = max(params.smallest, params.small) * smallest_px
    adopted = sure & ~is_background(image, found.xyxy, hud=hud, usual=usual, least_px=least_px, rare=rare)
    boxes = found[np.flatnonzero(adopted)]
    assert isinstance(boxes, sv.Detections)
    return boxes


def two_looks(image: np.ndarray, predict: Predict, params: RoundsParams) -> tuple[sv.Detections, np.ndarray]:
    """What a model finds in a picture, and whether it finds it in the mirror image of its surroundings too.

    If the surroundings of all boxes are larger together than the picture, it is mirrored as a whole.

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
    sure[sure] = _are_in_mirror_image(image, found.xyxy[sure], predict, params)
    return found, sure


def _are_in_mirror_image(
    image: np.ndarray, boxes: np.ndarray, predict: Predict, params: RoundsParams
) -> np.ndarray:
    """Whether a model finds each box again, as surely, in the mirror image of its surroundings, bool (n,)."""
    height, width = image.shape[:2]
    windows = [_surroundings(box, width, height) for box in boxes]
    # A model that is sure of everything would look hundreds of times.
    if sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in windows) >= width * height:
        seen = _seen_mirrored(image, (0, 0, width, height), predict, params)
        return sv.box_iou_batch(boxes, seen).max(axis=1, initial=0) >= params.box_iou
    return np.array(
        [
            sv.box_iou_batch(box[None], _seen_mirrored(image, window, predict, params)).max(initial=0)
            >= params.box_iou
            for box, window in zip(boxes, windows, strict=True)
        ],
        bool,
    )


def _surroundings(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """The square around a box in which it is looked for again, inside the frame, xyxy."""
    side = max(_AROUND_PX, int(_AROUND * (box[2:] - box[:2]).max()))
    corner = ((box[:2] + box[2:] - side) / 2).round().astype(int)
    x, y = corner.clip(0, [max(width - side, 0), max(height - side, 0)]).tolist()
    return x, y, min(x + side, width), min(y + side, height)


def _seen_mirrored(
    image: np.ndarray, window: tuple[int, int, int, int], predict: Predict, params: RoundsParams
) -> np.ndarray:
    """What a model is sure of in the mirror image of a part of a picture; boxes of the whole, xyxy (n, 4)."""
    x1, y1, x2, y2 = window
    seen = predict(np.ascontiguousarray(image[y1:y2, x1:x2][:, ::-1]))
    boxes = seen.xyxy[_confidence(seen) >= params.adopt]
    back = np.column_stack([x2 - x1 - boxes[:, 2], boxes[:, 1], x2 - x1 - boxes[:, 0], boxes[:, 3]])
    return back + np.array([x1, y1, x1, y1])


def is_background(
    image: np.ndarray,
    boxes: np.ndarray,
    *,
    hud: np.ndarray | None,
    usual: np.ndarray | None,
    least_px: float,
    rare: bool,
) -> np.ndarray:
    """Which boxes are certainly no targets, bool (n,): on the HUD, common, or smaller than ``least_px``.

    Args:
        boxes: xyxy (n, 4).
        hud: panels of the HUD, bool (H, W).
        usual: the median picture of the video, RGB (H, W, 3); used where no panels are known.
        rare: whether targets are, so that what has many look-alikes in the frame is none.
    """
    # An icon of the HUD may look like a target, but is static: a certain and valuable piece of background.
    # Nor is a shot a target: it is smaller than any target that the game has marked.
    background = _long_sides(boxes) < least_px
    if hud is not None:
        background |= share_inside(hud, boxes) >= _INSIDE
    elif usual is not None:
        background |= stand_still(image, usual, boxes)
    if rare:
        background |= have_look_alikes(image, boxes)
    return background


def _long_sides(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)


def _look(
    dataset: Path,
    frame: dict,
    *,
    hud: np.ndarray | None,
    usual: np.ndarray | None,
    smallest_px: float,
    rare: bool,
    predict: Predict,
    params: RoundsParams,
    classes: dict[str, int],
    fly_bys: np.ndarray,
) -> pd.DataFrame:
    """The labels of one frame and the model's other boxes, with the columns that ``judged`` takes."""
    if frame["kind"] == "unknown":
        image, known, numbers = read_rgb(dataset / frame["image"]), np.zeros((0, 4)), np.zeros(0, int)
    else:
        image, objects = read_objects(dataset, frame["image"])
        known = objects.xyxy
        numbers = np.zeros(len(known), int) if objects.class_id is None else objects.class_id
    found, sure = two_looks(image, predict, params)
    is_new = np.ones(len(found), bool)
    if len(known) and len(found):
        is_new = sv.box_iou_batch(found.xyxy, known).max(axis=1) < _ONE_OBJECT
    boxes = found.xyxy[is_new]
    least_px = params.smallest * smallest_px
    still = is_background(image, boxes, hud=hud, usual=usual, least_px=least_px, rare=rare)
    still |= fly_by(boxes, fly_bys)
    sides = _long_sides(boxes)
    shown = found.data.get("class_name", np.zeros(0, str))
    proposed = np.array([classes[str(name)] for name in np.asarray(shown)[is_new]], int)
    rows = pd.DataFrame(np.concatenate([known, boxes]).reshape(-1, 4), columns=BOX)
    is_label = np.arange(len(rows)) < len(known)
    return rows.assign(
        video=frame["video"],
        frame_index=int(frame["frame_index"]),
        class_id=np.concatenate([numbers, proposed]).astype(int),
        confidence=np.concatenate([np.ones(len(known)), _confidence(found)[is_new]]),
        is_label=is_label,
        sure=np.concatenate([np.ones(len(known), bool), sure[is_new]]),
        still=np.concatenate([np.zeros(len(known), bool), still]),
        small=np.concatenate([np.zeros(len(known), bool), sides < params.small * smallest_px]),
    )


def _confidence(boxes: sv.Detections) -> np.ndarray:
    return np.zeros(len(boxes)) if boxes.confidence is None else boxes.confidence
