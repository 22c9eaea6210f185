"""`gotowce mark`: write a page for drawing boxes on frames."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console


def mark(
    video: Annotated[str, typer.Argument(help="Video file, or key of an added video.")],
    out: Annotated[
        Path | None, typer.Option(help="Output HTML page; by default VIDEO.mark.html in this folder.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=60, help="Number of frames, evenly spaced.")
    ] = 12,
    complete: Annotated[
        bool, typer.Option("--complete", help="To box every object of each frame: complete truth.")
    ] = False,
) -> None:
    """Write a page for drawing boxes on frames of a video; it saves the CSV that `calibrate` reads.

    With --complete, `gotowce add VIDEO --truth FILE` reads it, to measure the recall of unmarked targets.
    """
    from gotowce_dagster.cli.arguments import video_file
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.designators.marking import marking_page
    from gotowce_dagster.video.decode import probe, read_frames

    path = video_file(video)
    frames = probe(path).frames
    wanted = {round((place + 0.5) * frames / count) for place in range(count)}
    shown = ((frame.index, frame.rgb()) for frame in read_frames(path, wanted))
    out = out or Path(f"{path.stem}.mark.html")
    page = marking_page(path.name, shown, _classes_in(video) if complete else None)
    with fresh_file(out) as new:
        new.write_text(page, encoding="utf-8")
    task = "draw 5 boxes, save the CSV, then run `gotowce calibrate`."
    if complete:
        task = "box every object, save the CSV, then run `gotowce add VIDEO --truth FILE`."
    console.say("Open ", console.bold(out), " in a browser, ", task)


def _classes_in(video: str) -> list[str]:
    """The classes of a video's profile; ``target`` where it has none."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.designators.profile import read_profile

    if Path(video).exists():
        return ["target"]
    project = Project.find()
    profile = read_profile(project.paths.profile(project.video(video).profile))
    return list(dict.fromkeys(designator.class_name for designator in profile.designators)) or ["target"]
