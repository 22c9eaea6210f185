"""What the model of each round sees: the recalls round by round, beside what the round learned from."""

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.progress import Progress, tracked
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.evaluation.recalls import Seen, figures_by_group, look_at_test_split
from gotowce_dagster.evaluation.search import Search
from gotowce_dagster.evaluation.without_marks import is_apart, look_at_video
from gotowce_dagster.labels.in_force import checked_and_reviewed
from gotowce_dagster.training.model import Predict, load_trained
from gotowce_dagster.training.model_folder import model_file

_FORMAT = "by group"
"""Of the kept figures; another name measures all rounds again."""


def models_of_rounds(folder: Path) -> list[Path]:
    """The weights of each round, from the folder of a model.

    Raises:
        InputError: there is no model, or it was not trained in rounds.
    """
    if not (folder / "rounds.csv").exists():
        raise InputError(f"{folder}: no model that was trained in rounds; run `gotowce rounds 1`")
    count = len(pd.read_csv(folder / "rounds.csv"))
    earlier = (model_file(folder / "rounds", f"round-{number}") for number in range(count - 1))
    return [*earlier, model_file(folder)]


def round_by_round(project: Project, progress: Progress) -> list[dict[str, Any]]:
    """The table of rounds: what each learned from, and its figures on frames with truth.

    What was measured is kept in the work folder, so that a run that was killed goes on with the next round.

    Args:
        progress: called with rounds measured.

    Returns:
        The columns of rounds.csv, and ``figures``: those of recalls.figures_by_group.

    Raises:
        InputError: there is no model that was trained in rounds, or a truth file is malformed.
    """
    folder = project.paths.model
    models = models_of_rounds(folder)
    search = cache(lambda: Search.of(project))
    measured = []
    for file in tracked(models, len(models), progress):
        kept = project.paths.work("rounds") / f"{_digest(project, file)}.json"
        if not kept.exists():
            require_trusted(file, project.paths.root)
            # Loaded only for videos with frames to evaluate.
            load = cache(lambda file=file: load_trained(folder, file))
            figures = _measure(project, lambda image, load=load: load()(image), search)
            kept.parent.mkdir(parents=True, exist_ok=True)
            with fresh_file(kept) as new:
                new.write_text(json.dumps(figures), encoding="utf-8")
        measured.append(json.loads(kept.read_text(encoding="utf-8")))
    rows = pd.read_csv(folder / "rounds.csv").to_dict("records")
    return [
        {str(name): value for name, value in row.items() if pd.notna(value)} | {"figures": figures}
        for row, figures in zip(rows, measured, strict=True)
    ]


def _measure(project: Project, predict: Predict, search: Callable[[], Search]) -> dict[str, dict[str, float]]:
    provenance = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    seen: list[Seen] = []
    apart: list[Seen] = []
    for video in project.videos:
        checked, _ = checked_and_reviewed(project, video)
        looked = look_at_video(
            project, video, checked, predict,
            adopt=lambda image, video=video: search().surely_seen(video, image, predict),
        )  # fmt: skip
        trained_on = provenance[(provenance["split"] == "train") & (provenance["video"] == video)]
        seen += looked
        apart += [one for one in looked if is_apart(one, trained_on, project)]
    if not any(one.marked for one in seen):
        seen += look_at_test_split(project.paths.dataset, provenance, predict)
    return figures_by_group(seen, apart, project.params.evaluation.confidence)


def _digest(project: Project, model: Path) -> str:
    """Of everything that decides what is measured."""
    paths = project.paths
    files = [model, paths.params, paths.dataset / "provenance.parquet"]
    for video in project.videos:
        files += [paths.truth(video), paths.complete_truth(video)]
        files.append(paths.profile(project.video(video).profile))
    parts = [f"{file.name} {content_sha256(file)}" for file in files if file.exists()]
    return sha256("\n".join([_FORMAT, *parts]).encode()).hexdigest()[:16]
