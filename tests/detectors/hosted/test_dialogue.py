"""Dialogues with a model whose answers are a function of the messages it is sent."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.ask import ask
from gotowce_dagster.detectors.describe import build_describer
from gotowce_dagster.detectors.hosted import vision_llm
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from gotowce_dagster.detectors.hosted.dialogue import Round, converse
from gotowce_dagster.detectors.hosted.vision_llm import Hosted
from tests.detectors.answers import prompts
from tests.detectors.servers import boxes

ROUNDS = [
    Round("detect", "boxes", "Find these, in {measure}:\n{phrases}"),
    Round("count", "count", "How many {of these}?"),
    Round("sure", "boxes", "Are you sure?"),
]
Reply = Callable[[list[str]], object]


class Answering:
    """Plays a hosted model: ``reply`` gets the texts of the dialogue so far, from the first prompt on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, reply: Reply) -> None:
        self.sent: list[list[ModelMessage]] = []
        self._folder, self._reply = folder, reply
        played = FunctionModel(self._answer)
        monkeypatch.setattr(vision_llm, "build_model", lambda settings, client, key: played)

    def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.sent.append(messages)
        answer = self._reply(texts(messages))
        if isinstance(answer, str):
            return ModelResponse(parts=[TextPart(answer)])
        return ModelResponse(parts=[ToolCallPart("answer", json.dumps(answer))])

    def hosted(self, **changes: object) -> Hosted:
        usual = {
            "provider": "compatible", "model": "played", "base_url": "http://localhost/v1", "send": True,
            "prompts": {"target": ["a bracket"]}, "parallel": 1, "requests_per_minute": None,
        }  # fmt: skip
        settings = HostedSettings.model_validate(usual | changes)
        return Hosted("eye", settings, cache=AnswerCache(self._folder / "answers"))


def texts(messages: list[ModelMessage]) -> list[str]:
    """Prompts and answers in order, without pictures."""
    found = []
    for message in messages:
        for part in message.parts:
            content = part.content if isinstance(part, UserPromptPart | TextPart) else ""
            found += [
                one for one in ([content] if isinstance(content, str) else content) if isinstance(one, str)
            ]
    return found


def pictures(message: ModelMessage) -> int:
    assert isinstance(message, ModelRequest)
    parts = [part for part in message.parts if isinstance(part, UserPromptPart)]
    return sum(isinstance(one, BinaryContent) for part in parts for one in part.content)


def usual(dialogue: list[str]) -> object:
    """One box; counts two; then stands by a wider box."""
    if dialogue[-1].startswith("How many"):
        return {"count": 2}
    return boxes(("a bracket", 40, 20, 130 if len(dialogue) > 1 else 120, 100, 0.9))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (200, 320, 3), np.uint8)


def test_each_round_sees_the_picture_and_all_answers_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    played = Answering(monkeypatch, tmp_path, usual)
    steps: list[tuple[int, int]] = []
    detect, count, sure = converse(played.hosted(), [image], ROUNDS, lambda *now: steps.append(now))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    first, last = played.sent[0], played.sent[2]
    (prompt,) = texts(first)
    assert prompt == "Find these, in pixels of the picture, which is 320 wide and 200 high:\n- a bracket"
    answers = [turn.answers[0].text for turn in (detect, count) if turn.answers[0]]
    assert texts(last) == [prompt, answers[0], "How many {of these}?", answers[1], "Are you sure?"]
    assert [pictures(message) for message in last[::2]] == [1, 0, 0]

    (found,), (counted,), (again,) = detect.answers, count.answers, sure.answers
    assert found is not None
    assert found.boxes is not None
    assert found.boxes.xyxy.tolist() == [[40, 20, 120, 100]]
    assert prompts(found.boxes) == ["a bracket"]
    assert counted is not None
    assert (counted.count, counted.boxes) == (2, None)
    assert again is not None
    assert again.boxes is not None
    assert again.boxes.xyxy.tolist() == [[40, 20, 130, 100]]


def test_a_dialogue_is_priced_by_round_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    played = Answering(monkeypatch, tmp_path, usual)
    monkeypatch.chdir(tmp_path)
    Path("prices.toml").write_text(PRICES)
    model = played.hosted(prices="prices.toml")
    turns = converse(model, [image, image[::-1]], ROUNDS)
    assert len(played.sent) == 6
    for turn in turns:
        spent = turn.spent
        assert spent["answers"] == 2
        assert spent["money"] == pytest.approx(spent["tokens_in"] / 1000 + spent["tokens_out"] / 500)
    assert turns[1].spent["tokens_in"] > turns[0].spent["tokens_in"], "the dialogue so far is sent again"
    again = converse(played.hosted(send=False), [image, image[::-1]], ROUNDS)
    assert len(played.sent) == 6
    assert [turn.spent["tokens_in"] for turn in again] == [turn.spent["tokens_in"] for turn in turns]


def test_a_refusal_is_no_answer_but_the_dialogue_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    played = Answering(monkeypatch, tmp_path, lambda d: "I would rather not." if len(d) == 1 else usual(d))
    model = played.hosted()
    turns = converse(model, [image], ROUNDS)
    assert [answer.is_usable for turn in turns for answer in turn.answers if answer] == [False, True, True]
    assert (model.bill.answers, model.bill.invalid) == (3, 1)


def test_without_an_answer_the_dialogue_about_a_picture_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    dark = np.zeros_like(image)
    left = iter([usual, None])

    def reply(dialogue: list[str]) -> object:
        answer = next(left, usual) if len(dialogue) == 1 else usual
        if answer is None:
            raise RuntimeError("gone")
        return answer(dialogue)

    played = Answering(monkeypatch, tmp_path, reply)
    turns = converse(played.hosted(), [image, dark], ROUNDS)
    assert [[answer is not None for answer in turn.answers] for turn in turns] == [
        [True, True], [True, False], [True, False],
    ]  # fmt: skip
    (failed,) = [answer for answer in turns[0].answers if answer and not answer.is_usable]
    assert failed.text == ""


PRICES = (
    'date = 2026-11-26\n[providers.compatible]\nsource = "ours"\n[providers.compatible.models]\n'
    "played = { input = 1000.0, output = 2000.0 }\n"
)


def test_nothing_is_sent_unless_allowed_and_all_rounds_are_priced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    played = Answering(monkeypatch, tmp_path, usual)
    monkeypatch.chdir(tmp_path)
    Path("prices.toml").write_text(PRICES)
    asked = {"send": False, "prices": "prices.toml"}

    def refused(rounds: list[Round], images: list[np.ndarray]) -> tuple[str, float, float]:
        with pytest.raises(InputError, match="nothing was sent") as error:
            converse(played.hosted(**asked), images, rounds)
        usually, most = map(float, re.findall(r"\$(\d+\.\d+)", str(error.value)))
        return str(error.value), usually, most

    words, usually, most = refused(ROUNDS, [image, image[::-1]])
    assert words.startswith("eye, rounds 1 to 3 of 3 (detect, count, sure): 6 question(s) about 2 picture(s)")
    _, one_round, one_round_at_most = refused(ROUNDS[:1], [image, image[::-1]])
    # Later rounds send the answers before them again, so each costs more than the first.
    assert usually > 3 * one_round
    assert most > 3 * one_round_at_most
    assert played.sent == []

    converse(played.hosted(), [image], ROUNDS[:2])
    # What is cached is not sent again: one round about the first image, three about the second.
    words, _, _ = refused(ROUNDS, [image, image[::-1]])
    assert words.startswith("eye, rounds 1 to 3 of 3 (detect, count, sure): 4 question(s) about 2 picture(s)")
    words, _, _ = refused(ROUNDS, [image])
    assert words.startswith("eye, round 3 of 3 (sure): 1 question(s) about 1 picture(s)")
    converse(played.hosted(**asked), [image], ROUNDS[:2])


def test_a_hosted_model_describes_and_answers_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    played = Answering(monkeypatch, tmp_path, lambda d: {"Describe it.": " A ship.\n", "Empty?": " "}[d[-1]])
    model = played.hosted(ask="Describe it.")
    assert ask(model, [image], "describe") == ["A ship."]
    assert ask(model, [image], "query", "Empty?") == [None]
    assert model.bill.invalid == 1


def test_a_hosted_model_is_a_describer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    played = Answering(monkeypatch, tmp_path, lambda d: "A red square.")
    describer = build_describer("eye", played.hosted().settings)
    assert describer.describe([image, image]) == ["A red square."] * 2
    assert len(played.sent) == 1
