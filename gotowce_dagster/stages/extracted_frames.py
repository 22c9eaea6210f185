"""Stage 1: the sampled frames of a video as JPEGs, and an index that says of each why it was kept or not."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from gotowce_dagster.errors import InputError
from gotowce_dagster.files import fresh_dir, read_json
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.progress import Progress, silent
from gotowce_dagster.project import Project
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.tables import FRAMES, empty, read_table, write_table
from gotowce_dagster.video.decode import probe
from gotowce_dagster.video.extract import extract
from gotowce_dagster.video.packets import Losses

_SHOWN = 12
"""Pictures on the contact sheet."""


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/frames/VIDEO: JPEGs, index.parquet and video.json.

    A file of which nothing can be decoded leaves an empty index and the reason in video.json: one bad
    video does not stop the others.

    Raises:
        InputError: there is no such video, or its file is not pulled or gone.
    """
    raw = project.raw(video)
    losses = Losses()
    with fresh_dir(project.paths.frames(video)) as folder:
        index = empty(FRAMES)
        about: dict[str, Any] = {}
        try:
            info = probe(raw)
        except InputError as error:
            about["error"] = str(error).replace(str(raw), raw.name)
        else:
            about |= asdict(info)
            index = extract(raw, folder, project.params.extracted_frames, losses, progress)
        write_table(index, FRAMES, folder / "index.parquet")
        # How often the decoder complains depends on the timing of its threads; of what does not.
        about["lost"] = {"frames": losses.frames, **asdict(losses), "errors": sorted(losses.errors)}
        (folder / "video.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def preview(project: Project, video: str) -> Preview:
    """What was sampled, kept and lost, and kept frames from the whole length of the video."""
    folder = project.paths.frames(video)
    index = read_table(project.paths.frame_index(video), FRAMES)
    about = read_json(folder / "video.json", "run its stage again")
    kept = index[index["kept"]]
    shown = kept.iloc[np.unique(np.linspace(0, len(kept) - 1, min(_SHOWN, len(kept))).round().astype(int))]
    return Preview(
        numbers={
            "seconds": round(about.get("duration_s", 0.0), 2),
            "frames_sampled": len(index),
            "frames_kept": len(kept),
            **{
                f"dropped_{reason}": n
                for reason, n in index.loc[~index["kept"], "reason"].value_counts().items()
            },
            "shots": index["shot"].nunique(),
            "frames_lost": about["lost"]["frames"],
        },
        picture=contact_sheet(
            [read_rgb(folder / file) for file in shown["file"]],
            [f"{row.frame_index} · {row.time_s:.2f} s" for row in shown.itertuples()],
        ),
        notes=list(_notes(about, kept_any=not kept.empty)),
    )


def _notes(about: dict[str, Any], kept_any: bool) -> Iterator[str]:
    if error := about.get("error"):
        yield f"NOTHING OF THIS VIDEO WAS USED. {error}"
        return
    lost = about["lost"]
    if lost["spans"]:
        first, last = lost["spans"][0], lost["spans"][-1]
        yield (
            f"{lost['frames']} of {about['frames']} frames could not be decoded, around "
            f"{first['time_s']:.1f} s" + (f" to {last['time_s']:.1f} s" if first != last else "")
        )
    if lost["damaged"]:
        yield f"{lost['damaged']} frames were built from broken data and are not kept"
    if lost["errors"]:
        yield f"The decoder said: {'; '.join(lost['errors'])}"
    if not kept_any:
        yield "No frame was kept"
