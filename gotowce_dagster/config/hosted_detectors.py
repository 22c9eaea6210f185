"""Settings of the detectors that send requests to a server."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gotowce_dagster.config.any_detector import Prompted
from gotowce_dagster.core.safe_names import readable_path

PricesPath = Annotated[
    Path, Field(strict=False), AfterValidator(lambda path: Path(readable_path(path.as_posix())))
]


class Online(Prompted):
    """Settings of every detector that sends requests to a server."""

    send: bool = False
    """Nothing leaves this machine unless this is set; cached responses are used either way."""
    key_variable: str | None = None
    """The environment variable with the key; default: the provider's usual one."""
    image_px: int = Field(default=1568, ge=64)
    """Longest side of a sent image in pixels; larger images are reduced."""
    image_format: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    requests_per_minute: float | None = Field(default=50, gt=0)
    """Rate limit; null: none."""
    parallel: int = Field(default=4, ge=1)
    """Concurrent requests."""
    retries: int = Field(default=4, ge=0)
    """Retries if the server is busy, fails or does not respond."""
    timeout_s: float = Field(default=120, gt=0)
    """Timeout of a request in seconds."""

    @property
    def extra(self) -> str | None:
        return "hosted"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables that may contain the key, in order; empty if the server needs none."""
        return (self.key_variable,) if self.key_variable else ()

    def key_found(self) -> str | None:
        """The first of key_variables that is set."""
        return next((name for name in self.key_variables if os.environ.get(name, "").strip()), None)

    def obstacle(self) -> str | None:
        if not self.send or not self.key_variables or self.key_found():
            return None
        return f"no key: set the environment variable {' or '.join(self.key_variables)}"


class HostedSettings(Online):
    """A hosted vision language model: Claude, GPT, Gemini, or any with OpenAI's protocol."""

    kind: Literal["hosted"] = "hosted"
    provider: Literal["anthropic", "openai", "google", "compatible"]
    """``compatible``: any server with OpenAI's chat protocol, at ``base_url``."""
    model: str = Field(min_length=1)
    base_url: str | None = None
    """The server's address; default: the provider's."""
    answer: Literal["tool", "schema", "text"] = "tool"
    """How the response format is specified: a tool's arguments, the server's JSON schema, or text."""
    coordinates: Literal["pixel", "unit", "thousand"] = "pixel"
    """The requested coordinates: pixels of the sent image, fractions of its sides (0 to 1), or thousandths.
    Responses in another convention are converted and counted."""
    ask: str = Field(default="Describe what you see in the picture in two sentences.", min_length=1)
    """The question of which the answer is a description."""
    refine: str | None = None
    """A second question about the detected boxes, for instance "only the bracket itself"."""
    max_tokens: int = Field(default=4096, ge=64)
    """Maximum tokens of an answer, including reasoning."""
    budget: float | None = Field(default=None, ge=0)
    """Budget in US dollars each time the detector is loaded, that is per video and run. A request that could
    exceed it is not sent."""
    prices: PricesPath | None = None
    """Your own table of prices, a path below the project; default: the package genai-prices."""

    @property
    def key_variables(self) -> tuple[str, ...]:
        return super().key_variables or {
            "anthropic": ("ANTHROPIC_API_KEY",),
            "openai": ("OPENAI_API_KEY",),
            "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        }.get(self.provider, ())

    @model_validator(mode="after")
    def _address(self) -> "HostedSettings":
        if self.provider == "compatible" and self.base_url is None:
            raise ValueError(
                "base_url: required for a compatible server, for example http://localhost:8000/v1"
            )
        return self


class MoondreamServerSettings(Online):
    """Moondream through its own protocol: a local server or its cloud."""

    kind: Literal["moondream_server"] = "moondream_server"
    base_url: str = "http://localhost:2020/v1"
    """The server's address; its cloud is https://api.moondream.ai/v1, which needs ``key_variable``."""
    image_px: int = Field(default=2048, ge=64)
