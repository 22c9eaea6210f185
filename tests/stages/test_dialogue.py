"""The study with two models whose answers are known: one is talked out of a wrong box, one into it."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelResponse, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.hosted import vision_llm
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import dialogue
from tests.detectors.hosted.test_dialogue import texts
from tests.detectors.servers import boxes
from tests.stages.test_prompt_inputs import FRAMES, make

MODELS = {
    name: {
        "kind": "hosted", "provider": "compatible", "model": name, "base_url": "http://localhost/v1",
        "prompts": {"target": ["a bracket"]}, "image_format": "png", "requests_per_minute": None,
        "send": True, "parallel": 1,
    }
    for name in ("learns", "forgets")
}  # fmt: skip
GONE = MODELS["learns"] | {"provider": "anthropic", "model": "claude-haiku-4-5", "base_url": None}


def play(settings: HostedSettings, marks: Mapping[bytes, tuple[float, float, float, float]]) -> FunctionModel:
    """A model that knows the mark of each picture by its bytes, and adds a wrong box in some rounds.

    Args:
        marks: box of the mark by picture; a picture that is missing shows none.
    """

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        (shown,) = [
            one.data
            for part in messages[0].parts
            if isinstance(part, UserPromptPart)
            for one in part.content
            if isinstance(one, BinaryContent)
        ]
        prompts = texts(messages)
        mark = [("a bracket", *marks[shown], 0.9)] if shown in marks else []
        is_first = len(prompts) == 1
        wrong = [("a bracket", 1, 1, 9, 9, 0.9)] if is_first == (settings.model == "learns") else []
        reply = {"count": len(mark)} if prompts[-1].startswith("Forget") else boxes(*mark, *wrong)
        return ModelResponse(parts=[ToolCallPart("answer", json.dumps(reply))])

    return FunctionModel(answer)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    made = make(tmp_path / "project")
    params = json.loads(made.params.model_dump_json())
    params["dialogue"] |= {
        "models": MODELS | {"gone": GONE},
        "frames": 4,
        "bootstrap": 200,
        "frames_shown": 2,
    }
    made.paths.params.write_text(json.dumps(params), encoding="utf-8")
    return Project(made.paths)


@pytest.fixture
def played(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both models answer about the pictures that the study is about to send."""
    from gotowce_dagster.detectors.hosted.inquiry import encode
    from gotowce_dagster.video.decode import read_frames

    truth = pd.read_csv(project.paths.truth("known"))
    truth = truth[truth["label"] == "designator"].set_index("frame_index")
    settings = HostedSettings.model_validate(MODELS["learns"])
    marks = {
        encode(frame.rgb(), settings).data: tuple(truth.loc[frame.index, ["x1", "y1", "x2", "y2"]].tolist())
        for frame in read_frames(project.raw("known"), truth.index.tolist())
    }
    monkeypatch.setattr(vision_llm, "build_model", lambda settings, client, key: play(settings, marks))


def test_every_round_is_evaluated(project: Project, played: None) -> None:
    steps: list[tuple[int, int]] = []
    dialogue.run(project, lambda *now: steps.append(now))
    assert steps[-1] == (200, 200)
    folder = project.paths.study("dialogue")
    table = pd.read_csv(folder / "rounds.csv").set_index(["model", "round"])
    assert table.index.tolist() == [
        (name, each) for name in MODELS for each in ("detect", "refine", "count", "sure")
    ]
    assert (table["frames"] == 4).all()
    assert (table["usable"] == 4).all()
    learns, forgets = table.loc["learns"], table.loc["forgets"]
    # Three marks in four frames: three right boxes and four wrong ones; then three right ones.
    assert learns["f1_50"].tolist()[:2] == [pytest.approx(2 * 3 / (7 + 3)), 1]
    assert forgets["f1_50"].tolist()[:2] == [1, pytest.approx(0.6)]
    assert learns.loc["refine", ["gain", "improved", "worse"]].tolist() == [pytest.approx(0.4), 4, 0]
    assert forgets.loc["refine", ["gain", "improved", "worse"]].tolist() == [pytest.approx(-0.4), 0, 4]
    assert learns.loc["sure", ["gain", "improved", "worse"]].tolist() == [0, 0, 0]
    assert learns.loc["count", ["exact_share", "count_error", "scored_frames"]].tolist() == [1, 0, 4]
    assert np.isnan(learns.loc["count", "f1_50"])
    assert (table["money_per_1000"].isna()).all(), "no price is known"

    answers = pd.read_csv(folder / "answers.csv")
    assert answers["frame_index"].unique().tolist() == FRAMES
    assert len(answers) == 2 * 4 * 4
    assert json.loads(answers["answer"].iloc[0])["boxes"][0]["label"] == "a bracket"
    found = pd.read_csv(folder / "boxes.csv")
    assert found.groupby(["model", "round"]).size().to_dict() == {
        ("learns", "detect"): 7, ("learns", "refine"): 3, ("learns", "sure"): 3,
        ("forgets", "detect"): 3, ("forgets", "refine"): 7, ("forgets", "sure"): 7,
    }  # fmt: skip

    preview = preview_of(project, "dialogue", None)
    assert preview.numbers["learns, detect: F1"] == pytest.approx(0.6)
    assert preview.picture is not None
    first, second = preview.notes
    assert first.startswith("learns: F1 0.60 (")
    assert "refine changes it by +0.40 (" in first
    assert "4 frames improved and 0 worse" in first
    assert "count counts right in 100% of frames (mean error 0.00)" in first
    assert first.endswith("Surely better than before: refine; price unknown.")
    assert second.endswith("No later round is surely better; price unknown.")
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in (first, "gone did not run: no key", "Are you sure?", "Evaluated against ground truth."):
        assert words in page
    assert ">nan" not in page


def test_nothing_that_can_run_is_an_error(project: Project) -> None:
    params = json.loads(project.params.model_dump_json())
    params["dialogue"]["models"] = {"gone": GONE}
    project.paths.params.write_text(json.dumps(params), encoding="utf-8")
    with pytest.raises(InputError, match="no model can run: gone did not run: no key"):
        dialogue.run(Project(project.paths))


DETECT = {"name": "detect", "asks": "boxes", "prompt": "Find it."}
COUNT = {"name": "count", "asks": "count", "prompt": "How many?"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rounds": [COUNT]}, "the first must ask for boxes"),
        ({"rounds": [DETECT, COUNT, COUNT]}, "count occurs twice"),
        (
            {"models": {"eye": MODELS["learns"] | {"refine": "only the bracket"}}},
            "remove `input` and `refine`",
        ),
    ],
)
def test_impossible_dialogues_are_refused(project: Project, change: dict, problem: str) -> None:
    params = json.loads(project.params.model_dump_json())
    params["dialogue"] |= change
    project.paths.params.write_text(json.dumps(params), encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        _ = Project(project.paths).params
