"""`gotowce remove`, `rename` and `restore`: videos that leave the project, come back, or get another name."""

from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.config.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Key = Annotated[str, typer.Argument(help="The video's key, as `gotowce sync` shows it.")]


def remove(video: Key, json: Json = False) -> None:
    """Take a video out of the project, with its reviews; everything moves to a trash folder."""
    from gotowce_dagster.intake import videos as intake
    from gotowce_dagster.intake.removal import remove as take_out

    project = Project.find()
    folder = take_out(project, video)
    intake.sync(Project(project.paths))
    if json:
        console.show_json({"removed": video, "trash": folder})
        return
    console.out.print(
        f"{video} is removed; `gotowce restore {folder.name}` brings it back. The dataset is out of date: "
        "run `dvc repro`, or the job train_model.",
        soft_wrap=True,
        markup=False,
    )


def restore(
    name: Annotated[str, typer.Argument(help="A folder in data/.trash.")],
    json: Json = False,
) -> None:
    """Bring back a removed video, with its reviews and everything that was made of it."""
    from gotowce_dagster.intake import videos as intake
    from gotowce_dagster.intake.removal import restore as bring_back

    project = Project.find()
    key = bring_back(project, name)
    intake.sync(Project(project.paths))
    if json:
        console.show_json({"restored": key})
        return
    console.out.print(
        f"{key} is back. If it was reviewed in Label Studio meanwhile, run `gotowce review pull --again`.",
        soft_wrap=True,
        markup=False,
    )


def rename(
    old: Key,
    new: Annotated[str, typer.Argument(help="Another key: lower-case letters, digits and _.")],
    json: Json = False,
) -> None:
    """Give a video another name; its reviews and what was made of it keep their worth."""
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
