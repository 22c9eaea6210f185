from pathlib import Path

import pytest

from gotowce_dagster.detectors.money import Price, read_prices
from gotowce_dagster.errors import InputError


def test_a_price_is_of_a_million_tokens() -> None:
    assert Price(input=3, output=15).of(200_000, 10_000) == pytest.approx(0.6 + 0.15)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("anthropic", "claude-haiku-4-5", (1, 5)),
        ("anthropic", "claude-haiku-4-5-20251001", (1, 5)),
        ("openai", "gpt-4o-2024-08-06", (2.5, 10)),
        ("openai", "gpt-4o-mini", (0.15, 0.6)),
        ("google", "gemini-2.5-flash", (0.3, 2.5)),
        ("google", "claude-haiku-4-5", None),
        ("openai", "gpt-4o-audio", None),
        ("compatible", "anything", None),
    ],
)
def test_the_shipped_table(provider: str, model: str, price: tuple[float, float] | None) -> None:
    found = read_prices().find(provider, model)
    assert (found and (found.input, found.output)) == price


def test_every_shipped_price_has_a_page_and_a_date() -> None:
    prices = read_prices()
    assert prices.date.year >= 2026
    assert all(told.source.startswith("https://") for name, told in prices.providers.items() if told.models)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "not there"),
        ("date = ", "not valid TOML"),
        ("date = 2026-01-01", "providers: is missing"),
        (
            'date = 2026-01-01\n[providers.openai]\nsource = "x"\n'
            "[providers.openai.models]\na = { input = -1, output = 2 }",
            r"providers\.openai\.models\.a\.input",
        ),
    ],
)
def test_a_table_of_your_own_that_is_wrong_is_named(tmp_path: Path, text: str | None, match: str) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        read_prices(path)
    assert "mine.toml" in str(caught.value)
