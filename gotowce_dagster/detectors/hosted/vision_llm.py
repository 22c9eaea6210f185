"""The ``hosted`` detector: a hosted vision language model with structured output.

Claude, GPT, Gemini and servers with OpenAI's protocol, through pydantic-ai, which knows how each one returns
structured output. box_answers.py parses the responses box by box: one invalid box must not discard the
others, and a second request costs money.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import supervision as sv

from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.base import Cost, owned, tidied
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from gotowce_dagster.detectors.hosted.box_answers import Answer, CountAnswer, Parsed, parse_boxes, parse_count
from gotowce_dagster.detectors.hosted.inquiry import (
    Ask,
    Inquiry,
    Outcome,
    Picture,
    Question,
    Reply,
    sent_size,
    tiles,
)
from gotowce_dagster.detectors.hosted.money import Budget, BudgetSpentError, find_price
from gotowce_dagster.detectors.hosted.wire import Client, UnansweredError, trace
from gotowce_dagster.detectors.phrases import Phrases

if TYPE_CHECKING:
    from pydantic_ai.messages import BinaryContent, ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

ADDRESSES = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "google": "https://generativelanguage.googleapis.com",
}
_MEASURES = {
    "pixel": "pixels of the picture, which is {width} wide and {height} high",
    "unit": "shares of its width and height, from 0 to 1",
    "thousand": "thousandths of its width and height, from 0 to 1000",
}
_FIND = (
    "Find every one of these in the picture:\n{phrases}\n"
    "Box each tightly: x1, y1 its left and top, x2, y2 its right and bottom, in {measure}. "
    "Label it with the phrase it answers, word for word. Tell how sure you are, from 0 to 1. "
    "If there is none, give an empty list."
)
_REFINE = "{first}\nYou answered before:\n{answer}\nLook again and correct the boxes: {refine}"
_COUNT = "How many of these are in the picture: {what}? Give 0 if there is none."
_Read = Parsed | UnansweredError | BudgetSpentError
_FORMS = {"boxes": Answer, "count": CountAnswer}
TEXT = "text"
"""The form of an answer in words."""
_SCHEMA_TOKENS = 700
"""Upper bound of the tokens of a schema and of the provider's own prompt around it."""


class Hosted:
    """Asks a vision language model for the phrases of its settings.

    ``bill`` is also its ``cost``: answers, retries, tokens and money. ``record`` lists all calls and faults.
    An image without a usable answer has no boxes, and ``metadata["unanswered"]`` of its detections is the
    reason.
    """

    version = "1"
    ways = ("describe", "query", "count")
    weights: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        settings: HostedSettings,
        cache: AnswerCache | None = None,
        **waiting: Any,
    ) -> None:
        """Raises: InputError: a budget is set and the model's price is unknown."""
        self.name, self.settings = name, settings
        self._price = find_price(settings.provider, settings.model, settings.prices)
        if settings.budget is not None and self._price is None:
            raise InputError(
                f"budget: no price is known for {settings.model!r} of {settings.provider}; "
                "name a table that lists it as `prices`, or leave the budget out"
            )
        self.inquiry = Inquiry(
            settings,
            settings.base_url or ADDRESSES[settings.provider],
            self._connect,
            about={
                "provider": settings.provider,
                "model": settings.model,
                "answer": settings.answer,
                "max_tokens": settings.max_tokens,
            },
            price=self._price,
            budget=Budget(settings.budget),
            tokens=self._tokens,
            max_tokens=settings.max_tokens,
            cache=cache,
            **waiting,
        )
        self._phrases = Phrases(settings.prompts)
        self.bill, self.record = self.inquiry.bill, self.inquiry.record
        self.cost: Cost = self.bill

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py.

        Raises:
            InputError: sending is not allowed, or the key is missing.
            BudgetSpentError: the budget does not suffice for all images.
        """
        with self.cost.of(0):
            parsed, sizes = self._ask(images)
        done = [self._detections(one, i, s) for one, i, s in zip(parsed, images, sizes, strict=True)]
        self.cost.frames += sum(one is not None for one in done)
        self.stop_if_spent(parsed, done)
        return [one for one in done if one is not None]

    def _ask(self, images: Sequence[np.ndarray]) -> tuple[list[_Read], list[tuple[int, int]]]:
        """The parsed response about each image, and the size at which it was sent."""
        sizes = [sent_size((image.shape[1], image.shape[0]), self.settings.image_px) for image in images]
        firsts = [Question(i, "boxes", self._find(size)) for i, size in zip(images, sizes, strict=True)]
        outcomes = self.inquiry.answers(firsts)
        parsed = [self._read(outcome, size) for outcome, size in zip(outcomes, sizes, strict=True)]
        if self.settings.refine:
            again = [n for n, one in enumerate(parsed) if isinstance(one, Parsed) and len(one.xyxy)]
            refined = self.inquiry.answers(
                [Question(images[n], "boxes", self._again(firsts[n], parsed[n])) for n in again]
            )
            for n, outcome in zip(again, refined, strict=True):
                parsed[n] = self._read(outcome, sizes[n])
        return parsed, sizes

    def describe(self, images: Sequence[np.ndarray]) -> list[str | None]:
        """Descriptions; see query."""
        return self.query(images, self.settings.ask)

    def query(self, images: Sequence[np.ndarray], question: str) -> list[str | None]:
        """Answers in words; None without a usable answer.

        Raises:
            InputError: sending is not allowed, or the key is missing.
            BudgetSpentError: the budget does not suffice; the answers so far are cached.
        """
        outcomes = self.inquiry.answers([Question(image, TEXT, question) for image in images])
        self.stop_if_spent(outcomes)
        texts = [o.text.strip() or None if isinstance(o, Reply) else None for o in outcomes]
        self.cost.invalid += sum(
            isinstance(o, Reply) and text is None for o, text in zip(outcomes, texts, strict=True)
        )
        return texts

    def count(self, images: Sequence[np.ndarray], what: str) -> list[int | None]:
        """Number of objects in each image; None without a usable answer.

        Raises:
            InputError: sending is not allowed, or the key is missing.
            BudgetSpentError: the budget does not suffice; the answers so far are cached.
        """
        outcomes = self.inquiry.answers([Question(i, "count", _COUNT.format(what=what)) for i in images])
        self.stop_if_spent(outcomes)
        counts = [parse_count(o.text) if isinstance(o, Reply) else None for o in outcomes]
        self.cost.invalid += sum(
            isinstance(o, Reply) and n is None for o, n in zip(outcomes, counts, strict=True)
        )
        return counts

    def stop_if_spent(self, outcomes: Sequence[object], done: Sequence[sv.Detections | None] = ()) -> None:
        """Raise BudgetSpentError if an outcome is one; ``done`` as in that error."""
        stops = [outcome for outcome in outcomes if isinstance(outcome, BudgetSpentError)]
        if stops:
            raise BudgetSpentError(
                f"{self.name}: {stops[0]}; {len(stops)} of {len(outcomes)} images of this batch were not "
                "sent. All answers so far are cached: increase `budget` and run again to continue",
                done,
            )

    def _find(self, size: tuple[int, int]) -> str:
        return self.filled(_FIND, size)

    def filled(self, prompt: str, size: tuple[int, int]) -> str:
        """A prompt with the phrases for ``{phrases}``, and for ``{measure}`` the unit of coordinates.

        Args:
            size: (width, height) of the image that is sent.
        """
        measure = _MEASURES[self.settings.coordinates].format(width=size[0], height=size[1])
        phrases = "\n".join(f"- {phrase}" for phrase in self._phrases.asked)
        return prompt.replace("{phrases}", phrases).replace("{measure}", measure)

    def boxes_of(self, outcome: Outcome, image: np.ndarray) -> sv.Detections | None:
        """The boxes of an outcome about an image, as detect returns them; None if it was not sent."""
        size = sent_size((image.shape[1], image.shape[0]), self.settings.image_px)
        return self._detections(self._read(outcome, size), image, size)

    def _again(self, first: Question, parsed: object) -> str:
        assert isinstance(parsed, Parsed)
        boxes = [
            dict(zip(("label", *BOX), (label, *box), strict=True))
            for (_, label), box in zip(parsed.owners, parsed.xyxy.round(1).tolist(), strict=True)
        ]
        answer = json.dumps({"coordinates": "pixel", "boxes": boxes})
        return _REFINE.format(first=first.prompt, answer=answer, refine=self.settings.refine)

    def _read(self, outcome: Outcome, size: tuple[int, int]) -> _Read:
        if not isinstance(outcome, Reply):
            return outcome
        parsed = parse_boxes(outcome.text, size, self._phrases, self.settings.coordinates)
        self.record.repaired.update({str(name): count for name, count in parsed.repaired.items()})
        self.record.faults.update({str(name): count for name, count in parsed.dropped.items()})
        if parsed.fault:
            self.cost.invalid += 1
            if not parsed.dropped:
                self.record.faults[str(parsed.fault)] += 1
        return parsed

    def _detections(self, parsed: _Read, image: np.ndarray, size: tuple[int, int]) -> sv.Detections | None:
        """Boxes in pixels of the image, highest confidence first; None if it was not sent."""
        if isinstance(parsed, BudgetSpentError):
            return None
        why = str(parsed) if isinstance(parsed, UnansweredError) else parsed.fault
        boxes = Parsed() if isinstance(parsed, UnansweredError) else parsed
        settings = self.settings
        scaled = boxes.xyxy * np.tile([image.shape[1] / size[0], image.shape[0] / size[1]], 2)
        detections = tidied(
            owned(scaled, boxes.confidence, boxes.owners),
            image.shape,
            min_confidence=settings.min_confidence,
            nms_iou=settings.nms_iou,
        )
        detections.metadata = {"unanswered": str(why)} if why else {}
        return detections

    def _tokens(self, size: tuple[int, int], prompt: str) -> int:
        return image_tokens(self.settings.provider, size) + len(prompt) // 2 + _SCHEMA_TOKENS

    def _connect(self, client: Client, key: str | None) -> Ask:
        from pydantic_ai.direct import model_request
        from pydantic_ai.messages import BinaryContent

        model = build_model(self.settings, client, key)
        settings = self.settings

        async def ask(question: Question, picture: Picture) -> Reply:
            shown = BinaryContent(picture.data, media_type=picture.media_type)
            prompt, form = wanted(settings, question)
            try:
                response = await model_request(
                    model,
                    conversation(question, prompt, shown),
                    model_settings=limits(settings),
                    model_request_parameters=form,
                )
            except Exception as error:
                # Each library wraps the client's errors, or fails on an unexpected body, in its own way.
                why = f"an answer that is not {settings.provider}'s ({type(error).__name__})"
                raise trace.get().failure or UnansweredError(why) from None
            usage = response.usage
            return Reply(response_text(response), usage.input_tokens, usage.output_tokens)

        return ask


def conversation(question: Question, prompt: str, shown: "BinaryContent") -> "list[ModelMessage]":
    """The messages of a question: the dialogue so far, then the prompt; the image is in the first."""
    from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

    messages: list[ModelMessage] = []
    for number, text in enumerate([*(one.prompt for one in question.before), prompt]):
        content = [text, shown] if number == 0 else [text]
        messages.append(ModelRequest(parts=[UserPromptPart(content)]))
        if number < len(question.before):
            messages.append(ModelResponse(parts=[TextPart(question.before[number].answer)]))
    return messages


def build_model(settings: HostedSettings, client: Client, key: str | None) -> "Model":
    """pydantic-ai's model with our HTTP client."""
    name, address = settings.model, settings.base_url or ADDRESSES[settings.provider]
    if settings.provider == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return AnthropicModel(
            name, provider=AnthropicProvider(api_key=key, base_url=address, http_client=client)
        )
    if settings.provider == "google":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        return GoogleModel(name, provider=GoogleProvider(api_key=key, base_url=address, http_client=client))
    if settings.provider == "openai":
        from pydantic_ai.models.openai import OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIResponsesModel(
            name, provider=OpenAIProvider(api_key=key, base_url=address, http_client=client)
        )
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    # The library needs a key even if the server does not; without one it looks for OpenAI's.
    provider = OpenAICompatibleProvider(
        "compatible", base_url=address, api_key=key or "none", http_client=client
    )
    return OpenAIChatModel(name, provider=provider)


def limits(settings: HostedSettings) -> "ModelSettings":
    """Limits of a request. Retries are up to our client; OpenAI is asked not to store the images."""
    from pydantic_ai.models.openai import OpenAIResponsesModelSettings
    from pydantic_ai.settings import ModelSettings

    limited = ModelSettings(max_tokens=settings.max_tokens, timeout=settings.timeout_s, max_retries=0)
    return (
        OpenAIResponsesModelSettings(**limited, openai_store=False)
        if settings.provider == "openai"
        else limited
    )


def wanted(settings: HostedSettings, question: Question) -> "tuple[str, ModelRequestParameters]":
    """The prompt, and the parameters that make pydantic-ai request the schema."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    if question.form == TEXT:
        return question.prompt, ModelRequestParameters()
    schema = _FORMS[question.form].model_json_schema()
    if settings.answer == "tool":
        tool = ToolDefinition(
            name="answer",
            parameters_json_schema=schema,
            description="Tell what is in the picture.",
            kind="output",
        )
        return question.prompt, ModelRequestParameters(
            output_mode="tool", output_tools=[tool], allow_text_output=False
        )
    if settings.answer == "schema":
        form = OutputObjectDefinition(json_schema=schema, name="answer")
        return question.prompt, ModelRequestParameters(output_mode="native", output_object=form)
    prompt = f"{question.prompt}\nAnswer with JSON alone, of this schema:\n{json.dumps(schema)}"
    return prompt, ModelRequestParameters()


def response_text(response: "ModelResponse") -> str:
    """The text of a response: the arguments of its tool call, else its text."""
    from pydantic_ai.messages import TextPart, ToolCallPart

    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if calls:
        args = calls[-1].args
        return args if isinstance(args, str) else json.dumps(args)
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def image_tokens(provider: str, size: tuple[int, int]) -> int:
    """Estimate the tokens of an image, on the high side, from the providers' documentation.

    Claude: one token per 750 pixels. GPT: patches of 32 pixels, up to 2.46 tokens each for small models.
    Gemini: 258 tokens per tile of 768 pixels, or 1120 per image. Others like Claude.
    """
    if provider == "openai":
        return round(2.46 * tiles(size, 32))
    if provider == "google":
        return max(1120, 258 * tiles(size, 768))
    return round(size[0] * size[1] / 750)
