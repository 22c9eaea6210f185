"""`gotowce upgrade`: bring a project to the installed version."""

from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def upgrade(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change and be computed again.")
    ] = False,
    mine: Annotated[
        bool, typer.Option("--mine", help="Keep your lines where the package changed them too.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring this project to the installed version, and show what will be computed again and why."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake import upgrade as upgrading

    paths = Project.find().paths
    plan = upgrading.plan(paths, keep_mine=mine)
    notes = [] if dry_run else upgrading.upgrade(paths, plan)
    if json:
        console.show_json(
            {"version": plan.version, "files": list(plan.files), "stages": plan.reasons, "notes": notes}
        )
        return
    for name in plan.files:
        console.say(f"{'would change' if dry_run else 'changed'}: {name}")
    rows = ([stage, reason] for stage, reasons in plan.reasons.items() for reason in reasons)
    if plan.reasons:
        console.show_table("Computed again at the next run", ["stage", "because of"], rows)
    else:
        console.say(f"Nothing is computed again with version {plan.version}.")
    for note in notes:
        console.note(note)
