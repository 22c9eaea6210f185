"""Questions to a server about images, shared by vision_llm.py and moondream_server.py.

Cached answers are used first. The other questions are sent only if the settings allow it, within the budget,
several at a time; every answer is cached and recorded in the bill.
"""

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, NamedTuple

import cv2
import httpx2
import numpy as np
from anyio.from_thread import start_blocking_portal

from gotowce_dagster.config.detector_settings import Online
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.redact import redact
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache, image_hash, question_key
from gotowce_dagster.detectors.hosted.money import Budget, BudgetSpentError, Price
from gotowce_dagster.detectors.hosted.wire import Client, Clock, Pace, Sleep, Trace, UnansweredError, trace

HOPELESS = frozenset({401, 402, 403, 404})
"""HTTP statuses that every further request would get too: the key, account or model is wrong."""
USUAL_TOKENS = 300
"""Tokens of an answer with a few boxes; reasoning models use more."""
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class Exchange(NamedTuple):
    """An earlier question of a dialogue, and the text of its answer."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Question:
    """A question about an RGB uint8 image (H, W, 3); ``form`` is the kind of answer."""

    image: np.ndarray
    form: str
    prompt: str
    before: tuple[Exchange, ...] = ()
    """The dialogue so far about the same image."""

    @property
    def words(self) -> str:
        """All texts that are sent."""
        return "\n".join([*(text for one in self.before for text in (one.prompt, one.answer)), self.prompt])


class Planned(NamedTuple):
    """A question that is not asked yet, for an estimate of its price."""

    size: tuple[int, int]
    """(width, height) of its image."""
    words: str
    """All texts that would be sent, as far as they are known."""
    answers: int = 0
    """How many answers of the dialogue before it are not known yet."""


@dataclass(frozen=True)
class Picture:
    """An encoded image to send, and its size in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True)
class Reply:
    """The text of an answer, its tokens (0 if the server does not report them) and its seconds."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Call:
    """The outcome of one question. ``money``: US dollars paid for it in this run; NaN: price unknown."""

    prompt: str
    outcome: str
    kept: bool
    requests: int
    seconds: float
    input_tokens: int
    output_tokens: int
    money: float


@dataclass
class Bill(Cost):
    """The cost of questions to a server. Tokens and money include cached answers, as if asked for now.

    A missing answer counts as an answer and as an invalid one. Money is NaN if the price is unknown.
    """

    kept: int = 0
    """Cached answers, which are free."""
    unanswered: int = 0
    """Questions without an answer: time-outs, server errors, redirects."""
    unasked: int = 0
    """Questions not sent because the budget was spent."""
    requests: int = 0
    paid: float = 0.0
    """US dollars spent in this run."""
    waited: float = 0.0
    """Sum of the seconds of all answers, measured when they were asked for."""


@dataclass
class Record:
    """Details of all questions."""

    calls: list[Call] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    """Reasons why answers, or boxes of them, were unusable."""
    repaired: Counter[str] = field(default_factory=Counter)
    """Repairs of boxes."""


Outcome = Reply | UnansweredError | BudgetSpentError
Ask = Callable[[Question, Picture], Awaitable[Reply]]
Connect = Callable[[Client, str | None], Ask]
"""Makes the function that asks, from a client and the key."""


class Inquiry:
    """Answers questions from the cache or from the server.

    Args:
        about: everything that an answer depends on besides the question and the image's size.
        tokens: estimates a question's tokens from the image's (width, height) and the prompt.
        max_tokens: the most tokens of an answer.
    """

    def __init__(
        self,
        settings: Online,
        address: str,
        connect: Connect,
        *,
        about: Mapping[str, Any],
        price: Price | None = None,
        budget: Budget | None = None,
        tokens: Callable[[tuple[int, int], str], int] = lambda _size, _prompt: 0,
        max_tokens: int = 0,
        cache: AnswerCache | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.settings, self.address, self._connect = settings, address, connect
        self._about = {"address": address, **about}
        self._price, self._budget = price, budget or Budget(None)
        self._tokens, self._max_tokens = tokens, max_tokens
        self._cache = cache or AnswerCache()
        self._sleep = sleep
        self._pace = Pace(settings.requests_per_minute, clock, sleep)
        unknown = 0.0 if price else math.nan
        self.bill, self.record = Bill(money=unknown, paid=unknown), Record()

    def answers(self, questions: Sequence[Question]) -> list[Outcome]:
        """The outcome of each question.

        Raises:
            InputError: an answer is not cached and sending is not allowed, or the key is missing.
            GotowceError: the server refuses the key or does not know the model.
        """
        keys = [self._key_of(question) for question in questions]
        kept = {key: Reply(**cached) for key in keys if (cached := self._cache.get(key)) is not None}
        missing = {key: q for key, q in zip(keys, questions, strict=True) if key not in kept}
        outcomes: dict[str, Outcome] = dict(kept)
        if missing:
            self._may_send(list(missing.values()))
            secret = self._secret()
            with start_blocking_portal() as portal:
                outcomes |= portal.call(self._ask_all, missing, secret)
        asked = set(missing)
        for key, question in zip(keys, questions, strict=True):
            if key in asked:
                asked.remove(key)  # equal questions are sent once
            elif isinstance(reply := outcomes[key], Reply):
                self._book(question, reply, Trace(), kept=True)
        return [outcomes[key] for key in keys]

    def cached(self, question: Question) -> Reply | None:
        """The cached answer of a question."""
        kept = self._cache.get(self._key_of(question))
        return None if kept is None else Reply(**kept)

    def quote(self, pictures: int, planned: Sequence[Planned]) -> str:
        """One sentence on what would be sent, where to, and at what price.

        Args:
            planned: the questions, at least one.
        """
        width, height = sent_size(planned[0].size, self.settings.image_px)
        money = "price unknown"
        if self._price:
            usual, most = (
                sum(times * self._price_of(one, out) for one, times in Counter(planned).items())
                for out in (min(USUAL_TOKENS, self._max_tokens), self._max_tokens)
            )
            money = f"for about ${usual:.4f}, at most ${most:.4f}"
        return (
            f"{len(planned)} question(s) about {pictures} picture(s) of {width} x {height} pixels would be "
            f"sent to {self.address}, {money}"
        )

    def _price_of(self, one: Planned, answer: int) -> float:
        """Estimated US dollars of a question, if each answer has so many tokens."""
        assert self._price is not None
        tokens = self._tokens(sent_size(one.size, self.settings.image_px), one.words)
        return self._price.of(tokens + one.answers * answer, answer)

    def refuse(self, pictures: int, planned: Sequence[Planned]) -> None:
        """Raise InputError with the quote, unless the settings allow sending."""
        if self.settings.send:
            return
        raise InputError(
            f"{self.quote(pictures, planned)}; nothing was sent. To allow it, set `send: true` in the "
            "detector's settings, or give `gotowce compare` or `gotowce ask` the option --yes"
        )

    def _may_send(self, missing: Sequence[Question]) -> None:
        planned = [Planned((one.image.shape[1], one.image.shape[0]), one.words) for one in missing]
        self.refuse(len({id(one.image) for one in missing}), planned)

    def _secret(self) -> str | None:
        """The key.

        Raises:
            InputError: it is missing or malformed, or would be sent unencrypted.
        """
        url = httpx2.URL(self.address)
        if url.userinfo:
            raise InputError("base_url: leave out the name and password; a key comes from key_variable")
        if reason := self.settings.obstacle():
            raise InputError(f"{url.host}: {reason}")
        found = self.settings.key_found()
        if found is None:
            return None
        secret = os.environ[found].strip()
        if not (secret.isascii() and secret.isprintable()):
            raise InputError(f"{found}: not a key: it contains characters that cannot be sent")
        if url.scheme != "https" and url.host not in _HERE:
            raise InputError(f"base_url: the key would be sent to {url.host} unencrypted; expected https://")
        return secret

    def _key_of(self, question: Question) -> str:
        settings = self.settings
        # Without a dialogue the key is that of answers cached before there were any.
        before = {"before": [one._asdict() for one in question.before]} if question.before else {}
        return question_key(
            about=self._about,
            form=question.form,
            prompt=question.prompt,
            image=image_hash(question.image),
            sent=[settings.image_px, settings.image_format, settings.jpeg_quality],
            **before,
        )

    async def _ask_all(self, missing: Mapping[str, Question], secret: str | None) -> dict[str, Outcome]:
        settings = self.settings
        seats = asyncio.Semaphore(settings.parallel)
        async with Client(self._pace, settings.retries, settings.timeout_s, self._sleep, secret) as client:
            ask = self._connect(client, secret)

            async def ask_without_key(question: Question, picture: Picture) -> Reply:
                # Answers are cached, printed and written into tables.
                reply = await ask(question, picture)
                return replace(reply, text=redact(reply.text, [secret] if secret else []))

            async def one(key: str, question: Question) -> Outcome:
                async with seats:
                    return await self._ask_one(key, question, ask_without_key)

            found = await asyncio.gather(
                *(one(key, question) for key, question in missing.items()), return_exceptions=True
            )
        outcomes: dict[str, Outcome] = {}
        for key, outcome in zip(missing, found, strict=True):
            if not isinstance(outcome, Reply | UnansweredError | BudgetSpentError):
                raise outcome
            outcomes[key] = outcome
        return outcomes

    async def _ask_one(self, key: str, question: Question, ask: Ask) -> Outcome:
        picture = encode(question.image, self.settings)
        most = self._most((picture.width, picture.height), question.words)
        start, seen = time.perf_counter(), Trace()
        trace.set(seen)
        try:
            async with self._budget.set_aside(most):
                reply = await ask(question, picture)
                if self._price:
                    self._budget.pay(self._price.of(reply.input_tokens, reply.output_tokens))
        except BudgetSpentError as spent:
            self.bill.unasked += 1
            return spent
        except UnansweredError as error:
            self._count(seen)
            self.bill.answers += 1
            self.bill.invalid += 1
            self.bill.unanswered += 1
            self.record.faults[str(error)] += 1
            nothing = Reply("", seconds=time.perf_counter() - start)
            self._note(question, nothing, str(error), seen, kept=False)
            if error.status in HOPELESS:
                names = " or ".join(self.settings.key_variables) or "that it needs no key"
                raise GotowceError(
                    f"{self.address} refuses every question ({error}); check the model's name and {names}"
                ) from None
            return error
        reply = replace(reply, seconds=time.perf_counter() - start)
        self._cache.put(key, vars(reply))
        self._count(seen)
        self._book(question, reply, seen, kept=False)
        return reply

    def _most(self, size: tuple[int, int], prompt: str) -> float:
        """The most that a question can cost: an answer of the full length; 0 if the price is unknown."""
        if self._price is None:
            return 0.0
        seen = max((call.input_tokens for call in self.record.calls), default=0)
        return self._price.of(max(seen, self._tokens(size, prompt)), self._max_tokens)

    def _count(self, seen: Trace) -> None:
        self.bill.requests += seen.requests
        self.bill.retries += max(0, seen.requests - 1)

    def _book(self, question: Question, reply: Reply, seen: Trace, *, kept: bool) -> None:
        bill = self.bill
        bill.answers += 1
        bill.kept += kept
        bill.tokens_in += reply.input_tokens
        bill.tokens_out += reply.output_tokens
        bill.waited += reply.seconds
        bill.money += self._worth(reply)
        bill.paid += 0.0 if kept else self._worth(reply)
        self._note(question, reply, "answered", seen, kept=kept)

    def _worth(self, reply: Reply) -> float:
        return self._price.of(reply.input_tokens, reply.output_tokens) if self._price else math.nan

    def _note(self, question: Question, reply: Reply, outcome: str, seen: Trace, *, kept: bool) -> None:
        self.record.calls.append(
            Call(
                prompt=question.prompt,
                outcome=outcome,
                kept=kept,
                requests=seen.requests,
                seconds=reply.seconds,
                input_tokens=reply.input_tokens,
                output_tokens=reply.output_tokens,
                money=0.0 if kept or outcome != "answered" else self._worth(reply),
            )
        )


def sent_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(width, height) at which an image is sent; never enlarged."""
    scale = min(1.0, longest / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def encode(image: np.ndarray, settings: Online) -> Picture:
    """Encode an RGB image, reduced to the configured size."""
    height, width = image.shape[:2]
    sent = sent_size((width, height), settings.image_px)
    small = image if sent == (width, height) else cv2.resize(image, sent, interpolation=cv2.INTER_AREA)
    jpeg = settings.image_format == "jpeg"
    options = [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality] if jpeg else []
    _, data = cv2.imencode(".jpg" if jpeg else ".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    return Picture(data.tobytes(), f"image/{settings.image_format}", *sent)


def tiles(size: tuple[int, int], side: int) -> int:
    """Number of squares of the given side that cover an image."""
    return ceil(size[0] / side) * ceil(size[1] / side)
