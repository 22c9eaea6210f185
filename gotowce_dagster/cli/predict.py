"""`gotowce predict`: run the trained model on a video or a folder of images."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console


def predict(
    source: Annotated[Path, typer.Argument(help="Video, or folder of images.")],
    *,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model; default: data/model of the project.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder; default: predicted/NAME of the video.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Minimum confidence of a box; default: the model's own threshold if the evaluation chose "
            "one, else evaluation.confidence.",
        ),
    ] = None,
    tracks: Annotated[bool, typer.Option("--tracks", help="Track objects through a video.")] = False,
    pictures: Annotated[bool, typer.Option(help="Write the annotated video or images.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a trained model; writes an annotated video, tables as parquet and CSV, and optionally tracks."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.errors import InputError
    from gotowce_dagster.evaluation.threshold import threshold_in
    from gotowce_dagster.inference.loaded import open_model
    from gotowce_dagster.inference.predict import predict as run

    project = Project.find()
    if not source.exists():
        raise InputError(f"{source}: no such video or folder")
    loaded = open_model(model or project.paths.model)
    if confidence is None:
        confidence = threshold_in(project.paths.evaluation, loaded.sha256)
    if confidence is None:
        confidence = project.params.evaluation.confidence
    with console.progress_bars() as start:
        done = run(
            source,
            loaded,
            out or Path("predicted") / source.stem,
            confidence=confidence,
            with_tracks=tracks,
            with_pictures=pictures,
            progress=start(f"{source.name} on {loaded.device}"),
        )
    if json:
        console.show_json(asdict(done))
        return
    settings = f"{loaded.input}, confidence {confidence:.2f}"
    console.say(f"{loaded.weights} (SHA-256 {loaded.sha256[:12]}) on {loaded.device}, {settings}")
    counted = f"{done.boxes} boxes in {done.frames_with_boxes} of {done.frames} frames"
    console.say(console.bold(done.out), f": {counted}" + (f", {done.tracks} tracks" if tracks else ""))
