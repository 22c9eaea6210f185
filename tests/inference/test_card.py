"""The model's card has the evaluation's figures, and says what is not measured."""

import json
from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.inference.card import model_card

RECALLS = {
    "truth": "ground truth",
    "all": {"marked_targets": 9, "marked_recall": 1.0, "erased_recall": 0.5, "precision": 0.37},
    "apart": {"marked_targets": 0, "marked_recall": None},
}


def _project(folder: Path, start: str) -> tuple[Path, Path]:
    model, evaluation = folder / "model", folder / "evaluation"
    model.mkdir()
    evaluation.mkdir()
    (model / "args.yaml").write_text(f"model: {start}\n")
    (model / "MODEL_CARD.md").write_text("# Model card\n\n## Data\n\n8 images\n")
    (evaluation / "metrics.json").write_text(json.dumps({"recalls": RECALLS}))
    return model, evaluation


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("yolo26n.pt", "AGPL-3.0, https://"),
        ("yolo26n.yaml", "random weights"),
        ("mine.pt", "licence is unknown"),
    ],
)
def test_card(tmp_path: Path, start: str, message: str) -> None:
    card = model_card(*_project(tmp_path, start))
    assert card.startswith("# Model card\n\n## Data\n\n8 images\n\n## Metrics\n")
    assert "| recall of targets with their mark | 1.000 (9 targets) | not measured |" in card
    assert "| recall of the same targets, their mark erased | 0.500 (9 targets) | not measured |" in card
    assert "| recall of targets that never had a mark | not measured | not measured |" in card
    assert message in card
    assert "## Intended use" in card


def test_the_card_has_the_figures_at_the_own_threshold(tmp_path: Path) -> None:
    model, evaluation = _project(tmp_path, "yolo26n.pt")
    own = {"confidence": 0.41, "model": "a", "all": {"complete_frames": 3, "precision": 0.9}}
    (evaluation / "metrics.json").write_text(json.dumps({"recalls": RECALLS, "threshold": own}))
    card = model_card(model, evaluation)
    assert "own threshold, with boxes of a confidence of 0.41 or more" in card
    assert "| precision in frames in which every object is boxed | 0.900 (3 frames) |" in card


def test_a_model_that_was_not_evaluated_has_no_card(tmp_path: Path) -> None:
    model, evaluation = _project(tmp_path, "yolo26n.pt")
    (evaluation / "metrics.json").unlink()
    with pytest.raises(InputError, match="run the stage evaluation first"):
        model_card(model, evaluation)
    (evaluation / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="has no recalls"):
        model_card(model, evaluation)
