"""What hosted models cost: a dated table of prices, and a budget that is never overdrawn."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import supervision as sv
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.errors import GotowceError, InputError
from gotowce_dagster.files import read_toml
from gotowce_dagster.validation import in_words

SHIPPED = Path(__file__).with_name("prices.toml")
_LOOK_AGAIN_S = 0.02
_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars of one answer, if nothing was cheaper because the provider had it in its own cache."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


class Provider(BaseModel):
    """One provider's prices, and the page that says them."""

    model_config = ConfigDict(extra="forbid")

    source: str
    models: dict[str, Price]


class Prices(BaseModel):
    """A whole table; see prices.toml."""

    model_config = ConfigDict(extra="forbid")

    date: date
    providers: dict[str, Provider]

    def find(self, provider: str, model: str) -> Price | None:
        """A model's price; that of ``gpt-4o`` also for a dated version such as ``gpt-4o-2024-08-06``."""
        known = self.providers[provider].models if provider in self.providers else {}
        return known.get(model) or known.get(_SNAPSHOT.sub("", model))


def read_prices(path: Path | None = None) -> Prices:
    """Read a table of prices, by default the shipped one.

    Raises:
        InputError: it is not there or malformed.
    """
    path = path or SHIPPED
    content = read_toml(path, "give the path of a table of prices")
    try:
        return Prices.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: {in_words(error, content)}; write it as {SHIPPED.name} of this package is written"
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
