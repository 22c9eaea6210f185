"""Preview of stage 8: the scores."""

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import read_json
from gotowce_dagster.evaluation.recalls import RECALLS_ON_TOP
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview

_AGAIN = "run its stage again"
_ON_TOP = ("precision_50", "recall_50", "mAP50", "median_iou")


def preview(project: Project) -> Preview:
    """Headline scores, measures that could not be computed, and a bar chart."""
    folder = project.paths.evaluation
    metrics = read_json(folder / "metrics.json", _AGAIN)
    recalls = metrics.pop("recalls", {"all": {}})["all"]
    numbers: dict[str, float | int | str] = {
        name: recalls[name] for name in RECALLS_ON_TOP if name in recalls
    }
    numbers |= {
        f"{measure}_{name}": scores[name]
        for measure, scores in metrics.items()
        for name in _ON_TOP
        if name in scores
    }
    notes = read_json(folder / "notes.json", _AGAIN)
    bars = folder / "plots" / "scores.png"
    return Preview(numbers, read_rgb(bars) if bars.exists() else None, notes)
