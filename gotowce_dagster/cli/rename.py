"""`gotowce rename`: rename a video."""

from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json, Key


def rename(
    old: Key,
    new: Annotated[str, typer.Argument(help="New key: lower-case letters, digits and _.")],
    json: Json = False,
) -> None:
    """Rename a video; its reviews and current results stay valid."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake import videos as intake
    from gotowce_dagster.intake.renaming import rename as give_name

    project = Project.find()
    done = give_name(project, old, new)
    intake.sync(Project(project.paths))
    if json:
        console.show_json({"renamed": {old: new}, "current": done.kept, "profile": done.profile})
        return
    current = ", ".join(name.partition("@")[0] for name in done.kept) or "nothing"
    console.out.print(
        f"{old} is now {new}. Still current: {current}. The dataset is out of date: run `dvc repro`, or the "
        "job train_model.",
        soft_wrap=True,
        markup=False,
    )
    if done.profile != done.profile_before:
        console.err.print(
            f"{new} has the profile {done.profile}, {old} had {done.profile_before}: to keep that, add {new} "
            f"to `videos` in data/profiles/{done.profile_before}.toml and run `gotowce sync`",
            style="yellow",
            markup=False,
        )
