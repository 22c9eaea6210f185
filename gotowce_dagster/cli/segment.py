"""`gotowce segment`: propagate masks of objects through a video."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError


def segment(
    video: Annotated[str, typer.Argument(help="A video file, or the key of one that was added.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; segmented/VIDEO if not told.")
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="CSV of your points: frame_index,object_id,x,y,label (1 on it, 0 not)."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Without points: the profile of the designators around the objects.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="What carries the masks, for instance sam2:sam2.1_hiera_small.pt.")
    ] = None,
    json: Json = False,
) -> None:
    """Carry masks of objects through a video: a table, an annotated video, the prompts and a timeline."""
    from gotowce_dagster.cli.arguments import video_file
    from gotowce_dagster.config import engines
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.designators.profile import read_profile
    from gotowce_dagster.intake.videos import NO_PROFILE, profile_of
    from gotowce_dagster.labelling.segment_video import segment as carry
    from gotowce_dagster.video.names import key_and_suffix

    project, path = Project.find(), video_file(video)
    claimed = NO_PROFILE if points or profile else profile_of(project.paths, key_and_suffix(path.name)[0])
    if not (points or profile) and claimed == NO_PROFILE:
        raise InputError(f"no profile claims {path.name}; give --profile or --points")
    prompted_by = points or read_profile(profile or project.paths.profile(claimed))
    out = out or Path("segmented") / path.stem
    masks = project.params.masks
    needed = {"propagation": [engine] if engine else masks.propagation.engine}
    chosen = engines.first_of(needed if points else needed | {"masks": masks.segmenter})
    with console.progress_bars() as start:
        done = carry(path, prompted_by, out, params=project.params, engines=chosen, start=start)
    if json:
        console.show_json(asdict(done))
        return
    rows = (
        [what, console.number(value) if isinstance(value, int | float) else str(value)]
        for what, value in asdict(done).items()
    )
    console.show_table(f"{path.name}", ["", ""], rows)
