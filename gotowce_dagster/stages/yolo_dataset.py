"""Stage 6: accepted labels, and what humans say instead, become a YOLO dataset whose splits share nothing."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from PIL import Image

from gotowce_dagster.errors import InputError
from gotowce_dagster.files import fresh_dir, link_or_copy
from gotowce_dagster.labels.export import class_names, label_file, read_objects, yolo_lines
from gotowce_dagster.labels.followed import read_tracked
from gotowce_dagster.labels.reviewed import Said, precede, said_of, said_of_video
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.labels.split import SPLITS, choose_negatives, find_leaks, split_frames, usable_frames
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import closeup
from gotowce_dagster.pictures.read import is_whole_jpeg
from gotowce_dagster.progress import Progress, tracked
from gotowce_dagster.project import Project
from gotowce_dagster.sources import require_pulled, tracked_files
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.tables import (
    DETECTIONS,
    FRAMES,
    LABELS,
    MASKS,
    PROVENANCE,
    read_table,
    read_unanswered,
    write_table,
)

_SHOWN = 12


def run(project: Project, progress: Progress) -> None:
    """Split the frames; write images, labels, data.yaml, provenance.parquet and left_out.csv.

    Raises:
        InputError: no leak-free split exists, a table is missing, or a file of reviews is not pulled.
    """
    params, paths = project.params.yolo_dataset, project.paths
    require_pulled(tracked_files(paths.reviewed_videos))
    ready = [video for video in project.videos if paths.labels(video).exists()]
    if not ready:
        raise InputError(f"{paths.data / 'labels'}: no video has labels yet; run the stages before first")
    said = _all_reviews(project, ready)
    labels = {video: precede(read_table(paths.labels(video), LABELS), said[video], video) for video in ready}
    kept = pd.concat(
        usable_frames(video, read_table(paths.frame_index(video), FRAMES), rows, said[video])
        for video, rows in labels.items()
    )
    # A detector passes over a damaged picture, which would then count as one without objects.
    kept["damaged"] = [
        not is_whole_jpeg(paths.frames(video) / file)
        for video, file in zip(kept["video"], kept["file"], strict=True)
    ]
    # Where an object was lost it may still be seen, unless a human has looked.
    lost = {video: _lost_in(paths.masks(video)) - set(said[video]) for video in ready}
    kept["doubtful"] |= _are_in(lost, kept)
    # A frame that a detector gave no answer about is not one without objects either.
    unanswered = {video: set(read_unanswered(paths.detections(video))) - set(said[video]) for video in ready}
    kept["unanswered"] = _are_in(unanswered, kept)
    sound = kept[~kept[["doubtful", "rejected", "damaged", "unanswered"]].any(axis=1)]
    frames = choose_negatives(sound, params.negative_share, params.seed)
    settled = split_frames(frames, params)
    used = settled[settled["split"] != ""]
    names = sorted(set(used["classes"].explode().dropna()))
    numbers = {name: number for number, name in enumerate(names)}
    used = used.assign(
        image=[f"images/{row['split']}/{_file_name(row)}" for row in used.to_dict("records")],
    )
    with fresh_dir(paths.dataset) as new:
        for kind in ("images", "labels"):
            for split in SPLITS:
                (new / kind / split).mkdir(parents=True)
        for frame in tracked(used.to_dict("records"), len(used), progress):
            rows = labels[frame["video"]]
            objects = rows[rows["frame_index"] == frame["frame_index"]]
            lines = yolo_lines(objects, numbers, params.polygons)
            label_file(new, frame["image"]).write_text("".join(f"{line}\n" for line in lines), "utf-8")
            link_or_copy(paths.frames(frame["video"]) / frame["file"], new / frame["image"])
        # Without `path`, ultralytics takes the folder of data.yaml, wherever it is called from.
        data = {split: f"images/{split}" for split in SPLITS} | {"names": dict(enumerate(names))}
        (new / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), "utf-8")
        write_table(_provenance(project, used, labels), PROVENANCE, new / "provenance.parquet")
        absent = [video for video in project.videos if video not in ready]
        _left_out(kept, settled, absent).to_csv(new / "left_out.csv", index=False, lineterminator="\n")


def _all_reviews(project: Project, videos: Collection[str]) -> dict[str, Said]:
    """Raises: InputError: of every video whose reviews cannot be read; without them it would teach errors."""
    said, problems = {}, []
    for video in videos:
        try:
            said[video] = reviews_in_force(project, video)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))
    return said


def preview(project: Project) -> Preview:
    """How many images and objects each split has, what was left out, and some of the images."""
    folder = project.paths.dataset
    provenance = read_table(folder / "provenance.parquet", PROVENANCE)
    left_out = pd.read_csv(folder / "left_out.csv")
    absent = left_out.loc[left_out["reason"] == "no labels", "video"]
    notes = [f"{video} has no labels yet, so nothing of it is in the dataset" for video in absent]
    numbers: dict[str, float | int | str] = {}
    for split in SPLITS:
        rows = provenance[provenance["split"] == split]
        numbers[f"{split}_images"], numbers[f"{split}_objects"] = len(rows), int(rows["objects"].sum())
    numbers["without_objects"] = int((provenance["objects"] == 0).sum())
    numbers["reviewed_images"] = int(provenance["reviewed"].sum())
    counted = left_out[left_out["frames"] > 0].groupby("reason")["frames"].sum()
    numbers |= {f"left_out_{reason}".replace("-", "_"): int(count) for reason, count in counted.items()}
    some = np.unique(np.linspace(0, len(provenance) - 1, min(_SHOWN, len(provenance))).astype(int))
    rows = provenance.iloc[some].to_dict("records")
    sheet = contact_sheet(
        [_picture(folder, row["image"]) for row in rows],
        [f"{row['split']}: {row['video']}\nframe {row['frame_index']}" for row in rows],
    )
    return Preview(numbers, sheet, [*notes, *leaks(project), *_unseen(folder)])


def reviews_in_force(project: Project, video: str) -> Said:
    """The frames of a video that a human has judged as they are now.

    One that was judged by itself goes before what is said of it with its whole video.

    Raises:
        InputError: its reviews are damaged or of another video, or it has no frames yet.
    """
    paths = project.paths
    index = read_table(paths.frame_index(video), FRAMES)
    alone = said_of(read_reviewed(paths.reviewed(video)), index, paths.frames(video))
    return {**_followed(project, video, index), **alone}


def leaks(project: Project) -> list[str]:
    """What the splits of the dataset on disk share, in sentences; empty when nothing."""
    provenance = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    return find_leaks(provenance, project.params.yolo_dataset)


def _followed(project: Project, video: str, frames: pd.DataFrame) -> Said:
    """What a human says of a video's frames who followed its objects."""
    paths = project.paths
    file = paths.reviewed_tracks(video)
    tracked = read_tracked(file)
    if tracked is None or tracked.decision is None:
        return {}
    used = {track.class_name for track in tracked.decision.tracks}
    known = set(project.params.review.tasks.classes) or _classes(project)
    if known and (strange := sorted(used - known)):
        raise InputError(
            f"{file}: has the class {', '.join(strange)}, but labels have {', '.join(sorted(known))}; "
            f"correct it in Label Studio and pull again, or name all in params.yaml: review.tasks.classes"
        )
    pictures = [paths.frames(video) / name for name in frames.loc[frames["kept"], "file"]]
    whole = next((picture for picture in pictures if is_whole_jpeg(picture)), None)
    size = _size(whole) if whole else (tracked.width, tracked.height)
    if size != (tracked.width, tracked.height):
        raise InputError(
            f"{file}: of a video of {tracked.width} x {tracked.height} pixels, but {video} has "
            f"{size[0]} x {size[1]}; move the file away if another video has taken the name"
        )
    labels = read_table(paths.labels(video), LABELS)
    return said_of_video(tracked, frames, labels, project.params.review.video.tolerance_px)


def _classes(project: Project) -> set[str]:
    """The classes that the labels of any video have."""
    files = [project.paths.labels(video) for video in project.videos]
    return {name for file in files if file.exists() for name in read_table(file, LABELS)["class_name"]}


def _size(picture: Path) -> tuple[int, int]:
    """Width and height."""
    with Image.open(picture) as opened:
        return opened.size


def _file_name(frame: dict) -> str:
    return f"{frame['video']}_{frame['frame_index']:06d}.jpg"


def _provenance(project: Project, used: pd.DataFrame, labels: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an image: where it comes from and what its labels were made with."""
    pieces = []
    for video, rows in used.groupby("video"):
        frame = rows["frame_index"]
        ids = labels[str(video)].groupby("frame_index")["detection_id"].agg(list)
        pieces.append(
            rows.assign(
                detection_ids=[ids.get(index, []) for index in frame],
                detector=frame.map(_makers(project.paths.detections(str(video)), DETECTIONS, "detector")),
                segmenter=frame.map(_makers(project.paths.masks(str(video)), MASKS, "segmenter")),
            )
        )
    whole = pd.concat(pieces).sort_values(["split", "video", "frame_index"])
    return whole.fillna({"detector": "", "segmenter": ""})[PROVENANCE.names]


def _are_in(chosen: Mapping[str, Collection[int]], frames: pd.DataFrame) -> np.ndarray:
    """bool (rows,): whether each row's frame is among those chosen of its video."""
    pairs = zip(frames["video"], frames["frame_index"], strict=True)
    return np.array([index in chosen[video] for video, index in pairs], bool)


def _lost_in(path: Path) -> set[int]:
    masks = read_table(path, MASKS)
    return set(masks.loc[masks["state"] == "lost", "frame_index"])


def _makers(path: Path, schema: pa.Schema, column: str) -> dict[int, str]:
    """The names of all that worked on each frame."""
    names = read_table(path, schema)[["frame_index", column]].drop_duplicates().sort_values(column)
    return names.groupby("frame_index")[column].agg("+".join).to_dict()


def _left_out(kept: pd.DataFrame, settled: pd.DataFrame, absent: list[str]) -> pd.DataFrame:
    """What did not enter the dataset: kept frames by video and reason, and whole videos."""
    gone = pd.concat(
        [
            kept[kept["damaged"]].assign(reason="damaged"),
            kept[kept["rejected"] & ~kept["damaged"]].assign(reason="rejected"),
            kept[kept["doubtful"] & ~kept["damaged"]].assign(reason="doubtful"),
            kept[kept["unanswered"] & ~kept["doubtful"] & ~kept["damaged"]].assign(reason="unanswered"),
            settled[settled["split"] == ""].assign(reason=lambda rows: rows["left_out"]),
        ]
    )
    counted = gone.groupby(["video", "reason"]).size().reset_index(name="frames")
    whole = pd.DataFrame({"video": absent, "reason": "no labels", "frames": 0})
    return pd.concat([counted, whole])


def _unseen(folder: Path) -> list[str]:
    """Classes that a split does not show at all."""
    notes = []
    for split in SPLITS:
        texts = [path.read_text(encoding="utf-8") for path in (folder / "labels" / split).iterdir()]
        shown = {int(line.split()[0]) for text in texts for line in text.splitlines()}
        means = (
            "the model cannot learn that class" if split == "train" else "that class is not measured there"
        )
        lacking = [name for number, name in class_names(folder).items() if number not in shown]
        notes += [f"{split} shows no {name}: {means}" for name in lacking]
    return notes


def _picture(folder: Path, image: str) -> np.ndarray:
    picture, objects = read_objects(folder, image)
    if not len(objects):
        return picture
    return closeup(picture, objects, list(objects.data["class_name"]), box=objects.xyxy[0], margin=2.0)
