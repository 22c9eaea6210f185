"""`gotowce mark`: a page to mark boxes on frames."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console


def mark(
    video: Annotated[str, typer.Argument(help="A video file, or the key of one that was added.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("mark.html"),
    count: Annotated[
        int, typer.Option("--count", min=1, max=60, help="How many frames, evenly spaced.")
    ] = 12,
) -> None:
    """Write a page to mark boxes on frames of a video; its button saves the CSV that calibrate reads."""
    from gotowce_dagster.cli.arguments import video_file
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.designators.marking import marking_page
    from gotowce_dagster.video.decode import probe, read_frames

    path = video_file(video)
    frames = probe(path).frames
    wanted = {round((place + 0.5) * frames / count) for place in range(count)}
    page = marking_page(path.name, ((frame.index, frame.rgb()) for frame in read_frames(path, wanted)))
    with fresh_file(out) as new:
        new.write_text(page, encoding="utf-8")
    console.say(
        "Open ", console.bold(out), " in a browser, mark 5 boxes, save, then run `gotowce calibrate`."
    )
