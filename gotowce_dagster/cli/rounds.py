"""`gotowce rounds`: train in rounds, and show what each round sees."""

from math import isnan
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.core.errors import GotowceError

_FIGURES = {
    "labels_marked": "labels: marked",
    "labels_propagated": "labels: propagated",
    "labels_reviewed": "labels: reviewed",
    "labels_proposed": "labels: proposed by the round before",
    "questions": "questions for reviewers",
    "mAP50": "mAP50 on validation crops",
    "marked_recall": "recall of marked targets",
    "erased_recall": "recall, their marks erased",
    "unmarked_recall": "recall of targets never marked",
    "precision": "precision on complete frames",
    "AP50": "AP50 on complete frames",
}


def rounds(
    count: Annotated[
        int | None,
        typer.Argument(min=0, help="Further rounds after the first, at most; none: only show the table."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train in rounds of self-training until the gain stops; show each round's labels by origin and recalls.

    The number is written to params.yaml (finetuned_model.rounds.count). After an interruption, run it again.
    """
    from gotowce_dagster.cli.demonstration import run_job
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.evaluation.rounds import round_by_round
    from gotowce_dagster.intake.params_file import set_number

    project = Project.find()
    if count is not None:
        set_number(project.paths.params, ("finetuned_model", "rounds", "count"), count)
        project = Project(project.paths)
        if problems := run_job(project, "train_in_rounds"):
            raise GotowceError("; ".join(problems))
    with console.progress_bars() as start:
        table = round_by_round(project, start("measuring rounds"))
    if json:
        rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        console.show_json([{name: value for name, value in row.items() if not isnan(value)} for row in rows])
        return
    shown = {name: title for name, title in _FIGURES.items() if name in table}
    rows = ([title, *(_cell(value) for value in table[name])] for name, title in shown.items())
    columns = ["", *(f"round {number}" for number in table["round"])]
    console.show_table("Labels learned from, and recalls, round by round", columns, rows)
    if "complete_frames" not in table:
        from gotowce_dagster.evaluation.recalls import UNMEASURED

        console.note(UNMEASURED)


def _cell(value: float) -> str:
    return "" if isnan(value) else console.number(value)
