"""Prices of hosted models, and a budget that is never exceeded."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import supervision as sv
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.files import read_toml
from gotowce_dagster.core.validation import in_words

_LOOK_AGAIN_S = 0.02


class Price(Protocol):
    """The price of a model's answers."""

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars of one answer, without discounts for the provider's own cache."""
        ...


class FixedPrice(BaseModel):
    """US dollars per million tokens, from the user's own table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)

    def of(self, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True)
class ListedPrice:
    """A model's price in genai-prices, including higher tiers for long inputs."""

    provider: str
    model: str

    def of(self, input_tokens: int, output_tokens: int) -> float:
        from genai_prices import Usage, calc_price

        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return float(calc_price(usage, self.model, provider_id=self.provider).total_price)


class Provider(BaseModel):
    """A provider's prices and their source."""

    model_config = ConfigDict(extra="forbid")

    source: str
    models: dict[str, FixedPrice]


class Prices(BaseModel):
    """The user's own table of prices."""

    model_config = ConfigDict(extra="forbid")

    date: date
    providers: dict[str, Provider]


def find_price(provider: str, model: str, table: Path | None = None) -> Price | None:
    """A model's price, also for dated versions such as ``gpt-4o-2024-08-06``; None if it is not listed.

    Args:
        table: the user's own table, instead of genai-prices.

    Raises:
        InputError: the table does not exist or is malformed.
    """
    if table:
        listed = read_prices(table).providers.get(provider)
        return listed.models.get(model) if listed else None
    price = ListedPrice(provider, model)
    try:
        price.of(1, 1)
    except LookupError:
        return None
    return price


def read_prices(path: Path) -> Prices:
    """Read the user's own table of prices.

    Raises:
        InputError: it does not exist or is malformed.
    """
    content = read_toml(path, "give the path of a table of prices")
    try:
        return Prices.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {in_words(error, content)}; docs/detectors.md shows the format") from None


class BudgetSpentError(GotowceError):
    """The next request could exceed the budget, so it was not sent.

    If a detector raises it, ``done`` has the detections of each image of the batch; None: not asked about.
    """

    def __init__(self, message: str, done: Sequence[sv.Detections | None] = ()) -> None:
        super().__init__(message)
        self.done = list(done)


@dataclass
class Budget:
    """A budget in US dollars. A request first reserves the most that it can cost."""

    limit: float | None
    spent: float = 0.0
    _aside: float = 0.0

    @asynccontextmanager
    async def set_aside(self, most: float) -> AsyncGenerator[None]:
        """Reserve ``most`` while a request runs; wait while other reservations leave too little.

        Raises:
            BudgetSpentError: it exceeds the budget without other reservations.
        """
        while self.limit is not None and self.spent + self._aside + most > self.limit + 1e-12:
            if not self._aside:
                raise BudgetSpentError(
                    f"${self.spent:.4f} of the budget of ${self.limit:.4f} are spent, and the next request "
                    f"could cost up to ${most:.4f}"
                )
            await asyncio.sleep(_LOOK_AGAIN_S)
        self._aside += most
        try:
            yield
        finally:
            self._aside -= most
            if self._aside < 1e-12:
                self._aside = 0.0

    def pay(self, money: float) -> None:
        self.spent += money
