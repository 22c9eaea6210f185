"""The study with a Grounding DINO of random weights: its confidences mean nothing, the rows are all there."""

from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import vocabulary
from tests.detectors import standins
from tests.stages.test_mark_colours import make

pytestmark = pytest.mark.slow

DETECTORS = {
    "dino": {"kind": "zero_shot", "weights": "dino", "prompts": {"target": ["red square", "ship"]}},
    "gone": {"kind": "zero_shot", "weights": "gone", "prompts": {"target": ["corners"]}},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    standins.grounding_dino(tmp_path / "weights" / "dino")
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "weights"))
    section = {"detectors": DETECTORS, "phrases": ["bus"], "control": ["person"], "nearest": 1, "frames": 2}
    return make(
        tmp_path / "project", vocabulary=section | {"text_encoder": "gone/clip", "min_confidence": 0.0}
    )


def test_every_word_has_a_row(project: Project) -> None:
    vocabulary.run(project)
    folder = project.paths.study("vocabulary")
    shown = pd.read_csv(folder / "behaviour.csv")
    roles = dict(zip(shown["word"], shown["role"], strict=True))
    assert roles["red square"] == roles["ship"] == roles["bus"] == "prompt"
    assert roles["person"] == "control"
    assert "neighbour" in set(roles.values())
    assert set(shown["detector"]) == {"dino"}
    assert (shown["frames"] == 2).all()
    assert shown["highest"].between(0, 1).all()
    advice = pd.read_csv(folder / "advice.csv")
    assert advice["phrase"].tolist() == ["red square", "ship", "corners", "bus"]
    assert "'bus' is a category of LVIS" in advice["advice"].iloc[3]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "gone did not run: gone not in" in page
    assert "No nearest categories by embedding: gone/clip is not on this machine." in page
    preview = preview_of(project, "vocabulary", None)
    assert preview.numbers["phrases"] == 4
    assert preview.notes == advice["advice"].tolist()
