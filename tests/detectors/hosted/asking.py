"""Hosted models that ask a server of the tests."""

from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from gotowce_dagster.detectors.hosted.vision_llm import Hosted
from tests.detectors.servers import Server, boxes

KEY = "sk-very-secret-0123456789"


MODELS = {
    "anthropic": "claude-haiku-4-5",
    "openai": "gpt-5-mini",
    "google": "gemini-2.5-flash",
    "compatible": "qwen2.5-vl",
}


KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY"}


GOOD = boxes(("a bracket", 40, 20, 120, 100, 0.9))


def image(seed: int = 0, width: int = 320, height: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def settings(server: Server, provider: str = "compatible", **changes: Any) -> HostedSettings:
    path = {"anthropic": "", "google": ""}.get(provider, "/v1")
    defaults = {
        "provider": provider,
        "model": MODELS[provider],
        "base_url": server.address + path,
        "prompts": {"target": ["a bracket"]},
        "send": True,
        "parallel": 1,
        "requests_per_minute": None,
    }
    return HostedSettings.model_validate(defaults | changes)


class Waits:
    """A clock that stands still unless somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def hosted(
    tmp_path: Path, server: Server, provider: str = "compatible", waits: Waits | None = None, **changes: Any
) -> Hosted:
    waits = waits or Waits()
    return Hosted(
        "eye",
        settings(server, provider, **changes),
        cache=AnswerCache(tmp_path / "answers"),
        clock=waits.clock,
        sleep=waits.sleep,
    )


def rows(found: sv.Detections) -> list[tuple[float, ...]]:
    return [tuple(round(float(value), 1) for value in box) for box in found.xyxy]
