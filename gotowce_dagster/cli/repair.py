"""`gotowce repair`: make every dvc.lock whole again."""

from dataclasses import asdict

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def repair(json: Json = False) -> None:
    """Make every dvc.lock whole again after a kill or a full disk cut it; add, sync and Dagster do it too."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake.dvc_repo import DvcRepo

    done = DvcRepo(Project.find().paths.root).repair(run_cache=True)
    if json:
        console.show_json({"repaired": asdict(done) if done else None})
    elif done is None:  # what was done is a warning, shown already
        console.out.print("every dvc.lock is whole: nothing to repair")
