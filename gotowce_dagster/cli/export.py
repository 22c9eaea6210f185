"""`gotowce export`: export labels for other tools."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gotowce_dagster.cli import console


def export(
    out: Annotated[Path, typer.Argument(help="Output folder; an earlier export there is replaced.")],
    *,
    format_name: Annotated[
        Literal["coco", "yolo", "voc", "cvat", "datumaro", "fiftyone", "labelstudio", "csv"],
        typer.Option("--format", help="Output format."),
    ],
    labels: Annotated[
        Literal["cleaned", "reviewed", "dataset"],
        typer.Option(help="The pipeline's accepted labels, reviewed labels, or the dataset with its splits."),
    ] = "dataset",
    masks: Annotated[bool, typer.Option(help="Write masks, or boxes only.")] = True,
    images: Annotated[
        Literal["copy", "reference"],
        typer.Option(help="Copy the images into the folder, or reference them by path."),
    ] = "copy",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export labels with images, splits and provenance in the format of another tool."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.interchange.export import export as run

    with console.progress_bars() as start:
        done = run(
            Project.find(),
            format_name,
            labels,
            out,
            with_masks=masks,
            copies=images == "copy",
            progress=start(f"{format_name} of {labels} labels"),
        )
    if json:
        console.show_json(vars(done))
        return
    for reason, count in done.left_out.items():
        console.note(f"{count} frames left out: {reason}")
    splits = ", ".join(f"{count} {split}" for split, count in done.by_split.items())
    console.say(
        console.bold(out),
        f": {done.pictures} pictures ({splits}), {done.objects} objects, {done.masks} with a mask",
    )
