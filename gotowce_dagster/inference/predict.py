"""`gotowce predict`: run a trained model on a video or a folder of images, frame by frame."""

import csv
import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import supervision as sv

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.inference.loaded import LoadedModel
from gotowce_dagster.inference.tracks import Tracks
from gotowce_dagster.pictures.overlay import draw
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.video.decode import probe, read_frames
from gotowce_dagster.video.encode import write_video

VIDEO, PICTURES, TABLE, RECORD = "annotated.mp4", "annotated", "predictions", "predictions.json"

SCHEMA = pa.schema(
    [
        ("source", pa.string()),  # name of the video or the picture
        ("frame_index", pa.int64()),  # from 0; of a folder: the picture's place among the sorted names
        ("time_s", pa.float64()),
        ("class_name", pa.string()),
        ("confidence", pa.float32()),
        *((side, pa.float64()) for side in BOX),
        ("track_id", pa.int64()),  # null without a track
    ]
)

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_ROWS_AT_ONCE = 2048


@dataclass
class Predicted:
    """The result of a run."""

    out: str
    frames: int = 0
    boxes: int = 0
    tracks: int = 0
    frames_with_boxes: int = 0
    seconds: float = 0.0
    model: dict[str, Any] = field(default_factory=dict)
    """Weights, settings and device."""


@dataclass(frozen=True)
class _Shown:
    """A frame with its predictions."""

    source: str
    frame_index: int
    time_s: float
    image: np.ndarray
    found: sv.Detections
    numbers: np.ndarray
    """Track of each box; -1 without one."""

    def rows(self) -> list[dict[str, Any]]:
        names, sure = self.found.data.get("class_name", []), self.found.confidence
        columns = zip(
            self.found.xyxy.tolist(), names, [] if sure is None else sure, self.numbers, strict=True
        )
        where = {"source": self.source, "frame_index": self.frame_index, "time_s": self.time_s}
        return [
            where
            | {"class_name": str(name), "confidence": float(sureness)}
            | dict(zip(BOX, box, strict=True))
            | {"track_id": None if number < 0 else int(number)}
            for box, name, sureness, number in columns
        ]

    def annotated(self) -> np.ndarray:
        """The frame with boxes and captions, RGB uint8 (H, W, 3)."""
        captions = [
            f"{row['class_name']} {row['confidence']:.2f}"
            + ("" if row["track_id"] is None else f" #{row['track_id']}")
            for row in self.rows()
        ]
        return draw(self.image, self.found, captions)


def predict(
    source: Path,
    model: LoadedModel,
    out: Path,
    *,
    confidence: float,
    with_tracks: bool = False,
    with_pictures: bool = True,
    progress: Progress = silent,
) -> Predicted:
    """Write predictions.parquet, predictions.csv, predictions.json and the annotated video or images.

    Frames are processed one at a time, so memory does not grow with their number.

    Args:
        source: a video, or a folder of images.
        out: output folder; earlier predictions in it are replaced.
        confidence: minimum confidence of a box.
        with_tracks: assign track ids to the boxes of a video.
        with_pictures: write the annotated video or images.
        progress: called with the number of frames.

    Raises:
        InputError: the source is neither a video nor a folder of images, ``out`` contains other files, or
            tracks are requested for images.
    """
    if out.exists() and not (out.is_dir() and ((out / RECORD).exists() or not any(out.iterdir()))):
        raise InputError(f"{out}: is not a folder of predictions; choose another folder with --out")
    if source.is_dir() and with_tracks:
        raise InputError(f"{source}: a folder of images; tracks need a video")
    begin, done = time.perf_counter(), Predicted(str(out), model=model.record())
    with fresh_dir(out) as new:
        with _tables(new) as write:
            shown = _counted(_search(source, model, confidence, with_tracks, progress), write, done)
            if not with_pictures:
                for _ in shown:
                    pass
            elif source.is_dir():
                for each in shown:
                    write_picture(each.annotated(), new / PICTURES / f"{Path(each.source).stem}.jpg")
            else:
                _write_video(source, shown, new / VIDEO)
        done.seconds = round(time.perf_counter() - begin, 2)
        record = asdict(done) | {"confidence": confidence, model.library: version(model.library)}
        record.pop("out")
        (new / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return done


def _write_video(source: Path, shown: Iterator[_Shown], path: Path) -> None:
    times: list[float] = []

    def images() -> Iterator[np.ndarray]:
        for each in shown:
            times.append(each.time_s)
            yield each.annotated()

    options = {"crf": "20", "preset": "veryfast"}
    upcoming = iter(lambda: times.pop(0), None)
    write_video(
        path, images(), fps=probe(source).fps, times_s=upcoming, options=options, container_format="mp4"
    )


def _search(
    source: Path, model: LoadedModel, confidence: float, with_tracks: bool, progress: Progress
) -> Iterator[_Shown]:
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in _SUFFIXES)
        if not files:
            raise InputError(f"{source}: contains no images ({', '.join(sorted(_SUFFIXES))})")
        for index, file in enumerate(tracked(files, len(files), progress)):
            image = read_rgb(file)
            found = _sure(model.predict(image), confidence)
            yield _Shown(file.name, index, 0.0, image, found, np.full(len(found), -1))
        return
    info = probe(source)
    tracks = Tracks(info.fps, confidence) if with_tracks else None
    for frame in tracked(read_frames(source), info.frames, progress):
        image = frame.rgb()
        found = _sure(model.predict(image), confidence)
        numbers = tracks.number(found) if tracks else np.full(len(found), -1)
        yield _Shown(source.name, frame.index, frame.time_s, image, found, numbers)


def _sure(found: sv.Detections, confidence: float) -> sv.Detections:
    kept = found[np.asarray(found.confidence, float) >= confidence] if len(found) else found
    assert isinstance(kept, sv.Detections)
    return kept


def _counted(shown: Iterator[_Shown], write: Any, done: Predicted) -> Iterator[_Shown]:
    """Yield the frames; count each and write its rows to the tables."""
    seen: set[int] = set()
    for each in shown:
        rows = each.rows()
        write(rows)
        done.frames += 1
        done.boxes += len(rows)
        done.frames_with_boxes += bool(rows)
        seen.update(int(number) for number in each.numbers if number >= 0)
        done.tracks = len(seen)
        yield each


@contextmanager
def _tables(folder: Path) -> Generator[Any]:
    """Return a function that appends rows to predictions.parquet and predictions.csv."""
    waiting: list[dict[str, Any]] = []
    with (
        pq.ParquetWriter(folder / f"{TABLE}.parquet", SCHEMA) as parquet,
        (folder / f"{TABLE}.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        lines = csv.DictWriter(file, SCHEMA.names, lineterminator="\n")
        lines.writeheader()

        def flush() -> None:
            parquet.write_table(pa.Table.from_pylist(waiting, schema=SCHEMA))
            lines.writerows(waiting)
            waiting.clear()

        def write(rows: list[dict[str, Any]]) -> None:
            waiting.extend(rows)
            if len(waiting) >= _ROWS_AT_ONCE:
                flush()

        yield write
        flush()
