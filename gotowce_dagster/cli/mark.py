"""`gotowce mark`: write a page for drawing boxes on frames."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console


def mark(
    video: Annotated[str, typer.Argument(help="Video file, or key of an added video.")],
    out: Annotated[Path, typer.Option(help="Output HTML page.")] = Path("mark.html"),
    count: Annotated[
        int, typer.Option("--count", min=1, max=60, help="Number of frames, evenly spaced.")
    ] = 12,
) -> None:
    """Write a page for drawing boxes on frames of a video; it saves the CSV that `calibrate` reads."""
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
        "Open ", console.bold(out), " in a browser, draw 5 boxes, save the CSV, then run `gotowce calibrate`."
    )
