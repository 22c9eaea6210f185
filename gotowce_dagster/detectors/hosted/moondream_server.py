"""The ``moondream_server`` detector: Moondream through its own protocol, on a local server or in its cloud.

It sends plain HTTP requests, because Moondream's client library depends on a complete inference engine. Each
phrase is a question. Coordinates are fractions of the image's sides; there are no confidences, so every box
has 1.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.config.detector_settings import MoondreamServerSettings
from gotowce_dagster.detectors.base import Cost, owned, tidied
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from gotowce_dagster.detectors.hosted.box_answers import (
    Fault,
    Parsed,
    UnreadableError,
    find_json,
    parse_boxes,
)
from gotowce_dagster.detectors.hosted.inquiry import (
    Ask,
    Inquiry,
    Outcome,
    Picture,
    Question,
    Reply,
    sent_size,
)
from gotowce_dagster.detectors.hosted.wire import Client
from gotowce_dagster.detectors.phrases import Phrases

_ASKED_AS = {"detect": "object", "point": "object", "query": "question", "caption": "length"}
"""The field of a request that contains the prompt."""
_SIDES = {"x1": "x_min", "y1": "y_min", "x2": "x_max", "y2": "y_max"}


class MoondreamServer:
    """Asks a server about each phrase of its settings.

    ``bill`` is also its ``cost``; it has neither tokens nor money, because the server does not report them.
    ``record`` lists all calls and faults. ``metadata["unanswered"]`` of an image's detections is the reason
    why answers about it are missing or unusable.
    """

    version = "1"
    ways = ("describe", "query", "point", "count")
    weights: tuple[str, ...] = ()

    def __init__(
        self, name: str, settings: MoondreamServerSettings, cache: AnswerCache | None = None, **waiting: Any
    ) -> None:
        self.name, self.settings = name, settings
        self._phrases = Phrases(settings.prompts)
        self._inquiry = Inquiry(
            settings,
            settings.base_url,
            self._connect,
            about={"protocol": "moondream"},
            cache=cache,
            **waiting,
        )
        self.bill, self.record = self._inquiry.bill, self._inquiry.record
        self.cost: Cost = self.bill

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py.

        Raises:
            InputError: sending is not allowed, or the key is missing.
        """
        asked = self._phrases.asked
        with self.cost.of(len(images)):
            outcomes = self._inquiry.answers(
                [Question(image, "detect", phrase) for image in images for phrase in asked]
            )
            return [
                self._detections(image, outcomes[n * len(asked) : (n + 1) * len(asked)])
                for n, image in enumerate(images)
            ]

    def point(self, images: Sequence[np.ndarray], phrase: str) -> list[np.ndarray | None]:
        """Centres of the objects that a phrase names: xy (n, 2) in pixels; None without a usable answer."""
        contents = self._contents(images, "point", phrase, "points")
        return [self._points(content, image) for content, image in zip(contents, images, strict=True)]

    def describe(self, images: Sequence[np.ndarray]) -> list[str | None]:
        """Captions; None without a usable answer."""
        return self._texts(self._contents(images, "caption", "normal", "caption"))

    def query(self, images: Sequence[np.ndarray], question: str) -> list[str | None]:
        """Text answers; None without a usable answer."""
        return self._texts(self._contents(images, "query", question, "answer"))

    def count(self, images: Sequence[np.ndarray], what: str) -> list[int | None]:
        """Number of objects in each image, counted by points; None without a usable answer."""
        return [None if points is None else len(points) for points in self.point(images, what)]

    def _detections(self, image: np.ndarray, outcomes: Sequence[Outcome]) -> sv.Detections:
        height, width = image.shape[:2]
        sent = sent_size((width, height), self.settings.image_px)
        parsed = [self._read(o, p, sent) for o, p in zip(outcomes, self._phrases.asked, strict=True)]
        owners = [owner for one in parsed for owner in one.owners]
        boxes = np.concatenate([one.xyxy for one in parsed])
        scaled = boxes * np.tile([width / sent[0], height / sent[1]], 2)
        detections = tidied(
            owned(scaled, np.concatenate([one.confidence for one in parsed]), owners),
            image.shape,
            min_confidence=0,
            nms_iou=self.settings.nms_iou,
        )
        why = [str(o) for o in outcomes if not isinstance(o, Reply)]
        why += [str(one.fault) for one in parsed if one.fault]
        detections.metadata = {"unanswered": "; ".join(why)} if why else {}
        return detections

    def _read(self, outcome: Outcome, phrase: str, size: tuple[int, int]) -> Parsed:
        """The boxes of an answer about one phrase; none without an answer."""
        if not isinstance(outcome, Reply):
            return Parsed()
        parsed = parse_boxes(as_boxes(outcome.text), size, Phrases({"": [phrase]}), "unit")
        owner = self._phrases.owner(phrase)
        assert owner is not None, "every phrase that is asked has an owner"
        parsed.owners = [owner] * len(parsed.xyxy)
        self.record.repaired.update({str(name): count for name, count in parsed.repaired.items()})
        self.record.faults.update({str(name): count for name, count in parsed.dropped.items()})
        if parsed.fault:
            self._invalid(None if parsed.dropped else parsed.fault)
        return parsed

    def _contents(self, images: Sequence[np.ndarray], form: str, prompt: str, key: str) -> list[Any]:
        outcomes = self._inquiry.answers([Question(image, form, prompt) for image in images])
        return [self._content(outcome, key) for outcome in outcomes]

    def _content(self, outcome: Outcome, key: str) -> Any:
        if not isinstance(outcome, Reply):
            return None
        try:
            content = find_json(outcome.text)
        except UnreadableError as error:
            return self._invalid(error.fault)
        if not isinstance(content, Mapping) or key not in content:
            return self._invalid(Fault.FORM)
        return content[key]

    def _points(self, content: Any, image: np.ndarray) -> np.ndarray | None:
        if content is None:
            return None
        try:
            points = np.array([[float(p["x"]), float(p["y"])] for p in content]).reshape(-1, 2)
        except (TypeError, KeyError, ValueError):
            return self._invalid(Fault.FORM)
        if not ((points >= 0) & (points <= 1)).all():
            return self._invalid(Fault.OUTSIDE)
        return points * [image.shape[1], image.shape[0]]

    def _texts(self, contents: Sequence[Any]) -> list[str | None]:
        return [
            text.strip() if isinstance(text, str) else None if text is None else self._invalid(Fault.FORM)
            for text in contents
        ]

    def _invalid(self, fault: Fault | None) -> None:
        self.cost.invalid += 1
        if fault:
            self.record.faults[str(fault)] += 1

    def _connect(self, client: Client, key: str | None) -> Ask:
        headers = {"X-Moondream-Auth": key} if key else {}
        address = self.settings.base_url.rstrip("/")

        async def ask(question: Question, picture: Picture) -> Reply:
            shown = f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"
            body = {"image_url": shown, _ASKED_AS[question.form]: question.prompt, "stream": False}
            response = await client.post(f"{address}/{question.form}", json=body, headers=headers)
            return Reply(response.text)

        return ask


def as_boxes(answer: str) -> str:
    """Convert an answer to ``detect`` to the schema of box_answers; other texts are returned unchanged."""
    try:
        content = find_json(answer)
    except UnreadableError:
        return answer
    objects = content.get("objects") if isinstance(content, Mapping) else None
    if not isinstance(objects, list):
        return answer
    boxes = [
        {ours: one.get(theirs) for ours, theirs in _SIDES.items()} | {"confidence": 1}
        if isinstance(one, Mapping)
        else one
        for one in objects
    ]
    return json.dumps({"coordinates": "unit", "boxes": boxes})
