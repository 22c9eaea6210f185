"""The model card: training data, metrics, intended use and licences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import read_json, read_text
from gotowce_dagster.core.weights import WEIGHTS
from gotowce_dagster.training.model_folder import read_arguments

_ADVICE = "run the stage evaluation first"
_FIGURES = {
    "marked_recall": ("recall of targets with their mark", "marked_targets"),
    "erased_recall": ("recall of the same targets, their mark erased", "marked_targets"),
    "unmarked_recall": ("recall of targets that never had a mark", "unmarked_targets"),
    "precision": ("precision in frames in which every object is boxed", "complete_frames"),
    "AP50": ("AP50 in those frames", "complete_frames"),
}


def model_card(model: Path, evaluation: Path) -> str:
    """Render the model card as Markdown: the card of the training, metrics, intended use and licences.

    Args:
        model: folder of the stage finetuned_model.
        evaluation: folder of the stage evaluation.

    Raises:
        InputError: the model or its evaluation is missing or damaged.
    """
    start = str(read_arguments(model)["model"])
    training = read_text(model / "MODEL_CARD.md", "run finetuned_model first").rstrip()
    metrics = read_json(evaluation / "metrics.json", _ADVICE)
    try:
        measured = _metrics(metrics["recalls"], metrics.get("threshold"))
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{evaluation / 'metrics.json'}: has no recalls; {_ADVICE}") from None
    return "\n\n".join([training, measured, _USE, _licences(start)]) + "\n"


def _metrics(recalls: Mapping[str, Any], own: Mapping[str, Any] | None) -> str:
    """The figures at evaluation.confidence, and at the model's own threshold where there is one."""
    lines = [
        "## Metrics",
        "",
        f"Measured on {recalls['truth']}. `all` includes frames close to training frames; `apart` does not.",
        "",
        *_table(recalls),
    ]
    if own is not None:
        lines += [
            "",
            f"At the model's own threshold, with boxes of a confidence of {own['confidence']:.2f} or more:",
            "",
            *_table(own),
        ]
    return "\n".join(lines)


def _table(recalls: Mapping[str, Any]) -> list[str]:
    groups = {name: group for name, group in recalls.items() if isinstance(group, dict)}
    lines = ["| figure | " + " | ".join(groups) + " |", "|---|" + "---|" * len(groups)]
    for name, (title, counted) in _FIGURES.items():
        cells = [_cell(group.get(name), group.get(counted), counted) for group in groups.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def _cell(value: float | None, count: int | None, counted: str) -> str:
    if value is None:
        return "not measured"
    return f"{value:.3f}" + (f" ({count} {counted.partition('_')[2]})" if count is not None else "")


_USE = """## Intended use

Detecting the classes above in recordings of the games it was trained on, at the sizes at which they appear
in them. It is not intended for other games, for photographs, or for decisions about people. If the second or
third figure is far below the first, the model detects the mark rather than the target: use it only on
recordings with marks."""


def _licences(start: str) -> str:
    published = WEIGHTS.get(start)
    if start.endswith(".yaml"):
        weights = (
            f"It was trained from random weights of the architecture `{start}` of ultralytics (AGPL-3.0)."
        )
    elif published is not None:
        weights = f"It was trained from `{start}` ({published.licence}, {published.url})."
    else:
        weights = f"It was trained from `{start}`, whose licence is unknown: ask its author."
    return f"""## Licences

{weights} A model derived from weights under the AGPL-3.0 and offered to others is subject to it as well.

The training images show games, whose publishers hold the rights to them. The licence of your recordings is
unknown; add it before you publish the model."""
