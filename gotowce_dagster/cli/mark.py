"""`gotowce mark`: write a page for drawing boxes on frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np


def mark(
    video: Annotated[str, typer.Argument(help="Video file, or key of an added video.")],
    out: Annotated[
        Path | None, typer.Option(help="Output HTML page; by default VIDEO.mark.html in this folder.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=60, help="Number of frames, evenly spaced.")
    ] = 12,
    frames: Annotated[
        str, typer.Option(help="These frames instead, for example those that `calibrate` proposes: 62,187.")
    ] = "",
    start_s: Annotated[float, typer.Option("--start", min=0, help="First second of the range.")] = 0,
    end_s: Annotated[
        float | None, typer.Option("--end", help="Last second of the range; by default the video's end.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="To box every object of each frame: complete truth.")
    ] = False,
) -> None:
    """Write a page for drawing boxes on frames of a video; it saves the CSV that `calibrate` reads.

    With --complete, `gotowce add VIDEO --truth CSV` reads it, to measure the recall of unmarked targets.
    """
    from gotowce_dagster.cli.arguments import numbers, video_file
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.designators.marking import marking_page
    from gotowce_dagster.video.decode import probe, read_frames

    path = video_file(video)
    info = probe(path)
    wanted = set(numbers(frames)) if frames else spaced(info.frames, info.fps, count, start_s, end_s)
    shown = list[int]()

    def pictures() -> Iterator[tuple[int, "np.ndarray"]]:
        for frame in read_frames(path, wanted):
            shown.append(frame.index)
            yield frame.index, frame.rgb()

    out = out or Path(f"{path.stem}.mark.html")
    page = marking_page(path.name, pictures(), _classes_in(video) if complete else None)
    if missing := sorted(wanted.difference(shown)):
        raise InputError(f"{path.name} has no readable frame {', '.join(map(str, missing))} of {info.frames}")
    with fresh_file(out) as new:
        new.write_text(page, encoding="utf-8")
    task = f"draw 5 boxes, save the CSV, then run `gotowce calibrate {video} --boxes CSV --out PROFILE.toml`."
    if complete:
        task = f"box every object, save the CSV, then run `gotowce add {video} --truth CSV`."
    console.say("Open ", console.bold(out), " in a browser, ", task)


def spaced(frames: int, fps: float, count: int, start_s: float, end_s: float | None) -> set[int]:
    """Frames evenly spaced between two times, at most ``count``.

    Raises:
        InputError: there is no frame between them.
    """
    first, last = round(start_s * fps), frames if end_s is None else min(round(end_s * fps) + 1, frames)
    if first >= last:
        raise InputError(
            f"--start and --end: expected a part of the video, which ends at {frames / fps:.1f} s, "
            f"got {start_s} to {end_s}"
        )
    return {first + int((place + 0.5) * (last - first) / count) for place in range(count)}


def _classes_in(video: str) -> list[str]:
    """The classes of a video's profile; ``target`` where it has none."""
    from gotowce_dagster.cli.arguments import is_key
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.designators.profile import read_profile

    if not is_key(video):
        return ["target"]
    project = Project.find()
    profile = read_profile(project.paths.profile(project.video(video).profile))
    return list(dict.fromkeys(designator.class_name for designator in profile.designators)) or ["target"]
