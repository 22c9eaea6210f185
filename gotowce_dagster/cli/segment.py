"""`gotowce segment`: propagate masks of objects through a video."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError


def segment(
    video: Annotated[str, typer.Argument(help="Video file, or key of an added video.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; default: segmented/VIDEO.")] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="CSV of points: frame_index,object_id,x,y,label (1 positive, 0 negative)."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Without points: profile of the designators that mark the objects.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Propagation engine, for example sam2:sam2.1_hiera_small.pt.")
    ] = None,
    json: Json = False,
) -> None:
    """Propagate masks through a video; writes a table, an annotated video, the prompts and a timeline."""
    from gotowce_dagster.cli.arguments import video_file
    from gotowce_dagster.config import engines
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.designators.profile import read_profile
    from gotowce_dagster.intake.videos import NO_PROFILE, profile_of
    from gotowce_dagster.labelling.segment_video import segment as propagate
    from gotowce_dagster.video.names import key_and_suffix

    project, path = Project.find(), video_file(video)
    claimed = NO_PROFILE if points or profile else profile_of(project.paths, key_and_suffix(path.name)[0])
    if not (points or profile) and claimed == NO_PROFILE:
        raise InputError(f"no profile matches {path.name}; give --profile or --points")
    prompted_by = points or read_profile(profile or project.paths.profile(claimed))
    out = out or Path("segmented") / path.stem
    masks = project.params.masks
    needed = {"propagation": [engine] if engine else masks.propagation.engine}
    chosen = engines.first_of(needed if points else needed | {"masks": masks.segmenter})
    with console.progress_bars() as start:
        done = propagate(path, prompted_by, out, params=project.params, engines=chosen, start=start)
    if json:
        console.show_json(asdict(done))
        return
    rows = (
        [what, console.number(value) if isinstance(value, int | float) else str(value)]
        for what, value in asdict(done).items()
    )
    console.show_table(f"{path.name}", ["", ""], rows)
