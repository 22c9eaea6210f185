"""`gotowce review push`: push frames for review."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.review.options import Json
from gotowce_dagster.cli.review.result import show_result


class RankedBy(StrEnum):
    doubt = "doubt"
    model = "model"
    proposals = "proposals"


def push(
    ranked_by: Annotated[
        RankedBy,
        typer.Option(
            help="doubt: by the rules' scores. model: frames where the fine-tuned model differs first. "
            "proposals: frames with boxes that training in rounds proposed for unmarked targets."
        ),
    ] = RankedBy.doubt,
    json: Json = False,
) -> None:
    """Push frames for review, the most doubtful first; after an interruption, run it again to continue."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.evaluation.evaluate import fine_tuned
    from gotowce_dagster.review.connection import connect, find
    from gotowce_dagster.review.disagreements import rank_frames
    from gotowce_dagster.review.frames import frames_to_review, rule_messages
    from gotowce_dagster.review.proposals import ranking_of, read_questions, rows_of
    from gotowce_dagster.review.push import push as send

    project = Project.find()
    paths, params = project.paths, project.params
    room = connect(find(paths.root))
    labelled = [video for video in project.videos if paths.labels(video).exists()]
    with console.progress_bars() as start:
        ranking, proposals = None, None
        if ranked_by is RankedBy.proposals:
            questions = read_questions(paths, labelled, params.finetuned_model.rounds)
            ranking, proposals = ranking_of(questions), rows_of(questions)
        if ranked_by is RankedBy.model:
            show = start("running the model on frames")
            ranking = rank_frames(paths, labelled, fine_tuned(paths), params.review.tasks, progress=show)
        frames = frames_to_review(paths, labelled, params.review.tasks, ranking, proposals)
        pushed = send(
            room,
            frames,
            paths.data / "frames",
            params.review.tasks,
            why=rule_messages(params.cleaned_labels),
            names=project.names,
            progress=start("pushing frames"),
        )
    notes = [f"{video}: no labels yet" for video in project.videos if video not in labelled]
    numbers = asdict(pushed)
    if proposals is not None:
        numbers["proposals"] = sum(len(rows) for rows in proposals.values())
        numbers["frames_with_proposals"] = len(proposals)
    elif ranking is not None:
        kinds = ranking["kinds"].explode().value_counts().to_dict()
        numbers |= {"looked_at": len(ranking)} | {f"model_{kind}": count for kind, count in kinds.items()}
    show_result("Sent to Label Studio", numbers, notes, json)
