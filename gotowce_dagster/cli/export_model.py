"""`gotowce export-model`: export the trained model for another runtime."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from gotowce_dagster.cli import console


def export_model(
    *,
    format_name: Annotated[
        Literal["onnx", "openvino", "engine", "coreml"],
        typer.Option("--format", help="Format; engine is TensorRT's."),
    ],
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model; default: data/model of the project.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: exported/FORMAT.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of sample images; default: the test images of the project's dataset."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of sample images.")] = 8,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Maximum difference of a side of a box, pixels.")
    ] = 0.5,
    confidence: Annotated[
        float,
        typer.Option("--tolerance-confidence", min=0, max=1, help="Maximum difference of a confidence."),
    ] = 0.01,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export the trained model of the engine yolo; checks that its boxes are equal on sample images."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.inference.exported import export_model as run
    from gotowce_dagster.inference.exported import sample_images

    paths = Project.find().paths
    samples = sample_images(images or paths.dataset / "images" / "test", count)
    with console.progress_bars() as start:
        done = run(
            model or paths.model,
            format_name,
            samples,
            out or Path("exported") / format_name,
            tolerance_px=tolerance,
            tolerance_confidence=confidence,
            progress=start(f"comparing boxes of {format_name}"),
        )
    if json:
        console.show_json(asdict(done))
        return
    console.say(
        console.bold(str(Path(done.out) / done.model)),
        f": input {done.input_px} x {done.input_px} px; largest difference {done.largest_px:.3g} px and "
        f"{done.largest_confidence:.3g} in confidence, over {done.boxes} boxes in {done.images} images",
    )
