"""Dialogues of several rounds with a hosted model, which sees the image and all that it answered before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import supervision as sv

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.detectors.hosted.box_answers import parse_count
from gotowce_dagster.detectors.hosted.inquiry import Exchange, Outcome, Planned, Question, Reply, sent_size
from gotowce_dagster.detectors.hosted.vision_llm import Hosted

_SPENT = ("answers", "invalid", "tokens_in", "tokens_out", "money", "waited")


@dataclass(frozen=True)
class Round:
    """A question that is asked about every image."""

    name: str
    asks: Literal["boxes", "count"]
    prompt: str
    """``{phrases}`` and ``{measure}`` are filled in; see Hosted.filled."""


@dataclass(frozen=True, eq=False)
class Answered:
    """The answer of one round about one image."""

    text: str
    """As the model wrote it; empty without an answer."""
    boxes: sv.Detections | None = None
    """Its boxes, highest confidence first; None if the round asks for none, or it gave no usable ones."""
    count: int | None = None
    """Its count; None if the round asks for none, or it gave no usable one."""

    @property
    def is_usable(self) -> bool:
        return self.boxes is not None or self.count is not None


@dataclass(frozen=True, eq=False)
class Turn:
    """All answers of one round."""

    round: Round
    answers: list[Answered | None]
    """One per image; None where the dialogue ended before, because the server gave no answer."""
    spent: Mapping[str, float]
    """The round's answers, invalid ones, tokens_in, tokens_out, money in US dollars (NaN: price unknown) and
    waited, the seconds of all answers; cached answers count as when they were asked for."""


def converse(
    model: Hosted, images: Sequence[np.ndarray], rounds: Sequence[Round], progress: Progress = silent
) -> list[Turn]:
    """Hold a dialogue about each image, round by round.

    Args:
        images: RGB uint8 (H, W, 3).
        progress: called with the number of finished rounds, and of all rounds.

    Raises:
        InputError: an answer is not cached and sending is not allowed, with the price of all rounds; or the
            key is missing.
        BudgetSpentError: the budget does not suffice; the answers so far are cached.
    """
    if not model.settings.send:
        _require_cached(model, images, rounds)
    past: list[tuple[Exchange, ...] | None] = [() for _ in images]
    turns = []
    for number, one in enumerate(tracked(rounds, len(rounds), progress), 1):
        going = [place for place, reply in enumerate(past) if reply is not None]
        questions = {place: _question(model, images[place], one, past[place] or ()) for place in going}
        before = {name: getattr(model.bill, name) for name in _SPENT}
        try:
            outcomes = dict(zip(going, model.inquiry.answers(list(questions.values())), strict=True))
        except InputError as error:
            raise InputError(f"{model.name}, round {number} of {len(rounds)} ({one.name}): {error}") from None
        model.stop_if_spent(list(outcomes.values()))
        answers: list[Answered | None] = [None] * len(images)
        for place, outcome in outcomes.items():
            answer = _answered(model, one, images[place], outcome)
            answers[place] = answer
            exchange = Exchange(questions[place].prompt, answer.text)
            past[place] = (*(past[place] or ()), exchange) if answer.text else None
        spent = {name: getattr(model.bill, name) - value for name, value in before.items()}
        turns.append(Turn(one, answers, spent))
    return turns


def _require_cached(model: Hosted, images: Sequence[np.ndarray], rounds: Sequence[Round]) -> None:
    """Raise InputError with what all missing rounds would send, unless every answer is cached."""
    planned = [_missing(model, image, rounds) for image in images]
    if not any(planned):
        return
    first = min(len(rounds) - len(missing) for missing in planned if missing)
    names = ", ".join(one.name for one in rounds[first:])
    try:
        model.inquiry.refuse(sum(map(bool, planned)), [one for missing in planned for one in missing])
    except InputError as error:
        span = f"rounds {first + 1} to {len(rounds)}" if first + 1 < len(rounds) else f"round {len(rounds)}"
        raise InputError(f"{model.name}, {span} of {len(rounds)} ({names}): {error}") from None


def _missing(model: Hosted, image: np.ndarray, rounds: Sequence[Round]) -> list[Planned]:
    """The questions of an image's dialogue from the first one without a cached answer on."""
    before: tuple[Exchange, ...] = ()
    for number, one in enumerate(rounds):
        question = _question(model, image, one, before)
        reply = model.inquiry.cached(question)
        if reply is None:
            size, words = (image.shape[1], image.shape[0]), question.words
            later = [_question(model, image, each, ()).prompt for each in rounds[number + 1 :]]
            texts = ["\n".join([words, *later[:place]]) for place in range(len(later) + 1)]
            return [Planned(size, text, answers) for answers, text in enumerate(texts)]
        if not (text := reply.text.strip()):
            return []  # a dialogue ends without an answer
        before = (*before, Exchange(question.prompt, text))
    return []


def _question(model: Hosted, image: np.ndarray, one: Round, before: tuple[Exchange, ...]) -> Question:
    size = sent_size((image.shape[1], image.shape[0]), model.settings.image_px)
    return Question(image, one.asks, model.filled(one.prompt, size), before)


def _answered(model: Hosted, one: Round, image: np.ndarray, outcome: Outcome) -> Answered:
    text = outcome.text.strip() if isinstance(outcome, Reply) else ""
    if one.asks == "count":
        count = parse_count(text)
        model.cost.invalid += isinstance(outcome, Reply) and count is None
        return Answered(text, count=count)
    boxes = model.boxes_of(outcome, image)
    return Answered(text, boxes=None if boxes is None or boxes.metadata.get("unanswered") else boxes)
