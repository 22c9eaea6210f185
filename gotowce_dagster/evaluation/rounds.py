"""What the model of each round sees: the recalls round by round, beside what the round learned from."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.progress import Progress, tracked
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.evaluation.recalls import Seen, figures, look_at_test_split
from gotowce_dagster.evaluation.without_marks import is_apart, look_at_video
from gotowce_dagster.labels.in_force import checked_and_reviewed
from gotowce_dagster.training.model import Predict, load_trained
from gotowce_dagster.training.model_folder import model_file


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


def round_by_round(project: Project, progress: Progress) -> pd.DataFrame:
    """The table of rounds with the recalls of each, on all frames with truth and apart from training.

    What was measured is kept in the work folder, so that a run that was killed goes on with the next round.

    Args:
        progress: called with rounds measured.

    Returns:
        The columns of rounds.csv and the figures of recalls.figures; ``apart_...`` those of frames that lie
        in no stretch of video that was trained on, nor near one.

    Raises:
        InputError: there is no model that was trained in rounds, or a truth file is malformed.
    """
    folder = project.paths.model
    models = models_of_rounds(folder)
    rows = []
    for number, file in enumerate(tracked(models, len(models), progress)):
        kept = project.paths.work("rounds") / f"{_digest(project, file)}.json"
        if not kept.exists():
            require_trusted(file, project.paths.root)
            # Loaded only for videos with frames to evaluate.
            load = cache(lambda file=file: load_trained(folder, file))
            measured = _measure(project, lambda image, load=load: load()(image))
            kept.parent.mkdir(parents=True, exist_ok=True)
            with fresh_file(kept) as new:
                new.write_text(json.dumps(measured), encoding="utf-8")
        rows.append({"round": number, **json.loads(kept.read_text(encoding="utf-8"))})
    return pd.read_csv(folder / "rounds.csv").merge(pd.DataFrame(rows), on="round")


def _measure(project: Project, predict: Predict) -> dict[str, float]:
    provenance = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    seen: list[Seen] = []
    apart: list[Seen] = []
    for video in project.videos:
        checked, _ = checked_and_reviewed(project, video)
        looked = look_at_video(project, video, checked, predict)
        trained_on = provenance[(provenance["split"] == "train") & (provenance["video"] == video)]
        seen += looked
        apart += [one for one in looked if is_apart(one, trained_on, project)]
    if not any(one.marked for one in seen):
        seen += look_at_test_split(project.paths.dataset, provenance, predict)
    confidence = project.params.evaluation.confidence
    by_group = {"": figures(seen, confidence), "apart_": figures(apart, confidence)}
    return {prefix + name: value for prefix, some in by_group.items() for name, value in some.items()}


def _digest(project: Project, model: Path) -> str:
    """Of everything that decides what is measured."""
    paths = project.paths
    files = [model, paths.params, paths.dataset / "provenance.parquet"]
    for video in project.videos:
        files += [paths.truth(video), paths.complete_truth(video)]
        files.append(paths.profile(project.video(video).profile))
    parts = [f"{file.name} {content_sha256(file)}" for file in files if file.is_file()]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
