"""The model card: what a model was trained on and how well it does, as text beside its weights."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from gotowce_dagster.training.engines.registry import ENGINES
from gotowce_dagster.training.finetune import Trained

_TEMPLATES = Environment(
    loader=PackageLoader("gotowce_dagster", "training"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - Markdown
    keep_trailing_newline=True,
)


def model_card(
    trained: Trained, best: Mapping[str, Any], provenance: pd.DataFrame, classes: list[str], engine: str
) -> str:
    """Markdown: classes, starting weights, training data, scores and environment of a model.

    Args:
        best: the best epoch's row of the history.
        provenance: rows of tables.PROVENANCE of its dataset.
        engine: of the training.
    """
    start = str(trained.arguments["model"])
    erased = int((provenance["kind"] == "erased").sum())
    provenance = provenance[provenance["kind"] == "as-is"]
    counted = provenance.groupby(["split", "video"], as_index=False)
    makers = {maker for column in ("detector", "segmenter") for maker in provenance[column] if maker}
    return _TEMPLATES.get_template("model_card.md.jinja").render(
        trained=trained,
        best=best,
        start=start,
        random=start.endswith(".yaml"),
        classes=classes,
        erased=erased,
        makers=sorted(makers),
        reviewed=int(provenance["reviewed"].sum()),
        data=counted.agg(images=("image", "size"), objects=("objects", "sum")).to_dict("records"),
        versions=[
            f"Python {platform.python_version()}",
            *(f"{library} {version(library)}" for library in ENGINES[engine].libraries),
        ],
    )
