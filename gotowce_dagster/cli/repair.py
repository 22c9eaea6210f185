"""`gotowce repair`: repair every dvc.lock."""

from dataclasses import asdict

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def repair(json: Json = False) -> None:
    """Repair dvc.lock files truncated by a kill or a full disk; add, sync and Dagster do so automatically."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake.dvc_repo import DvcRepo

    done = DvcRepo(Project.find().paths.root).repair(run_cache=True)
    if json:
        console.show_json({"repaired": asdict(done) if done else None})
    elif done is None:  # what was done is a warning, shown already
        console.out.print("every dvc.lock is whole: nothing to repair")
