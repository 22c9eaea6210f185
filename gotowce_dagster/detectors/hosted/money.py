"""What hosted models cost: prices of tokens, and a budget that is never overdrawn."""

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
    """What an answer of one model costs."""

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars of one answer, if nothing was cheaper because the provider had it in its own cache."""
        ...


class FixedPrice(BaseModel):
    """US dollars for a million tokens, from a table of the user's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)

    def of(self, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True)
class ListedPrice:
    """A model's price in the table of genai-prices, which follows the providers' pages; higher tiers of long
    inputs included."""

    provider: str
    model: str

    def of(self, input_tokens: int, output_tokens: int) -> float:
        from genai_prices import Usage, calc_price

        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return float(calc_price(usage, self.model, provider_id=self.provider).total_price)


class Provider(BaseModel):
    """One provider's prices, and where they were read."""

    model_config = ConfigDict(extra="forbid")

    source: str
    models: dict[str, FixedPrice]


class Prices(BaseModel):
    """A user's own table of prices."""

    model_config = ConfigDict(extra="forbid")

    date: date
    providers: dict[str, Provider]


def find_price(provider: str, model: str, table: Path | None = None) -> Price | None:
    """A model's price, dated versions such as ``gpt-4o-2024-08-06`` included; None if it is not listed.

    Args:
        table: a user's own table, instead of genai-prices.

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
    """Read a user's own table of prices.

    Raises:
        InputError: it does not exist or is malformed.
    """
    content = read_toml(path, "give the path of a table of prices")
    try:
        return Prices.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: {in_words(error, content)}; docs/detectors.md shows how such a table is written"
        ) from None


class BudgetSpentError(GotowceError):
    """The next request might cost more than is left; it was not sent.

    Out of a detector, ``done`` holds what was found in each image of the batch; None: not asked about.
    """

    def __init__(self, message: str, done: Sequence[sv.Detections | None] = ()) -> None:
        super().__init__(message)
        self.done = list(done)


@dataclass
class Budget:
    """Money that may be spent. A request first sets aside the most it may cost."""

    limit: float | None
    spent: float = 0.0
    _aside: float = 0.0

    @asynccontextmanager
    async def set_aside(self, most: float) -> AsyncGenerator[None]:
        """Keep ``most`` while a request runs; wait for what others may give back first.

        Raises:
            BudgetSpentError: it can never fit.
        """
        while self.limit is not None and self.spent + self._aside + most > self.limit + 1e-12:
            if not self._aside:
                raise BudgetSpentError(
                    f"${self.spent:.4f} of the budget of ${self.limit:.4f} are spent and the next request "
                    f"may cost up to ${most:.4f}"
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
