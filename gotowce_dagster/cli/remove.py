"""`gotowce remove`: remove a video."""

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json, Key


def remove(video: Key, json: Json = False) -> None:
    """Remove a video from the project, with its reviews; everything is moved to a trash folder."""
    from gotowce_dagster.config.project import Project
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
