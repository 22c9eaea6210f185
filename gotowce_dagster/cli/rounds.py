"""`gotowce rounds`: train in rounds, and show what each round learns from and sees."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.core.errors import GotowceError, InputError

if TYPE_CHECKING:
    from rich.text import Text

_LEARNED = {
    "labels_marked": "labels: marked",
    "labels_propagated": "labels: propagated",
    "labels_reviewed": "labels: reviewed",
    "labels_proposed": "labels: proposed by the round before",
    "background": "proposals taught as background",
    "painted_over": "proposals painted over",
    "questions": "of these, questions for reviewers",
    "mAP50": "mAP50 on validation crops",
}
_FIGURES = {
    "erased_recall": "recall of marked targets, marks erased",
    "unmarked_recall": "recall of targets never marked",
    "marked_recall": "recall of marked targets, as they are",
    "precision": "precision on complete frames",
    "AP50": "AP50 on complete frames",
}
_ADOPTED = "labels it would adopt on them, right"
_COUNTED = {
    "marked_targets": "marked targets",
    "unmarked_targets": "targets never marked",
    "complete_frames": "complete frames",
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
        if project.params.finetuned_model.crops is None:
            raise InputError(
                f"{project.paths.params}: finetuned_model.crops is null; rounds train on crops: set its "
                "values as the shipped file has them"
            )
        set_number(project.paths.params, ("finetuned_model", "rounds", "count"), count)
        project = Project(project.paths)
        if problems := run_job(project, "train_in_rounds"):
            raise GotowceError("; ".join(problems))
    with console.progress_bars() as start:
        table = round_by_round(project, start("measuring rounds"))
    if json:
        console.show_json(table)
        return
    columns = ["", *(f"round {one['round']}" for one in table)]
    console.show_table("Labels learned from, and recalls, round by round", columns, _rows(table))
    if "complete_frames" not in table[-1]["figures"]["all"]:
        from gotowce_dagster.evaluation.recalls import UNMEASURED

        console.note(UNMEASURED)


def _rows(table: Sequence[Mapping[str, Any]]) -> "Iterator[list[str | Text]]":
    """The rows of the table: what each round learned from, and its figures on each group of frames."""
    from gotowce_dagster.evaluation.recalls import group_title

    for name, title in _LEARNED.items():
        yield [title, *(console.number(one.get(name, "")) for one in table)]
    for group in _groups([one["figures"] for one in table]):
        figures = [one["figures"][group] for one in table]
        counts = [f"{figures[0][name]} {title}" for name, title in _COUNTED.items() if name in figures[0]]
        if not counts:
            continue
        yield []
        yield [console.bold(f"{group_title(group)}: {', '.join(counts)}")]
        for name, title in _FIGURES.items():
            if any(name in some for some in figures):
                yield [title, *(console.number(some[name]) if name in some else "" for some in figures)]
        if "adopted" in figures[0]:
            yield [_ADOPTED, *(f"{some['adopted_right']} of {some['adopted']}" for some in figures)]


def _groups(by_round: Sequence[Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The groups of frames, without the profile where it is the only one."""
    first = by_round[0]
    return [
        group for group in first if group == "all" or any(some[group] != some["all"] for some in by_round)
    ]
