from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.hosted.money import FixedPrice, find_price, read_prices


def test_a_price_is_of_a_million_tokens() -> None:
    assert FixedPrice(input=3, output=15).of(200_000, 10_000) == pytest.approx(0.6 + 0.15)


@pytest.mark.parametrize(
    ("provider", "model", "dollars"),
    [
        ("anthropic", "claude-haiku-4-5", 0.1 + 0.05),
        ("anthropic", "claude-haiku-4-5-20251001", 0.1 + 0.05),
        ("openai", "gpt-4o-2024-08-06", 0.25 + 0.1),
        ("openai", "gpt-4o-mini", 0.015 + 0.006),
        ("google", "gemini-2.5-flash", 0.03 + 0.025),
        ("openai", "gpt-4o-audio", None),
        ("compatible", "anything", None),
    ],
)
def test_listed_prices(provider: str, model: str, dollars: float | None) -> None:
    """Of 100,000 tokens in and 10,000 out, at the providers' usual rates."""
    price = find_price(provider, model)
    assert (price and price.of(100_000, 10_000)) == (dollars and pytest.approx(dollars))


def test_long_inputs_cost_more_at_some_providers() -> None:
    price = find_price("google", "gemini-2.5-pro")
    assert price is not None
    assert price.of(1_000_000, 0) > 4 * price.of(200_000, 0) * 1.5


def test_a_table_of_your_own_takes_precedence(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'date = 2026-01-01\n[providers.openai]\nsource = "x"\n'
        "[providers.openai.models]\ngpt-4o = { input = 1, output = 2 }"
    )
    price = find_price("openai", "gpt-4o", path)
    assert price is not None
    assert price.of(1_000_000, 1_000_000) == 3
    assert find_price("openai", "gpt-4o-mini", path) is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "does not exist"),
        ("date = ", "not valid TOML"),
        ("date = 2026-01-01", "providers: is missing"),
        (
            'date = 2026-01-01\n[providers.openai]\nsource = "x"\n'
            "[providers.openai.models]\na = { input = -1, output = 2 }",
            r"providers\.openai\.models\.a\.input",
        ),
        (
            'date = 2026-01-01\n[providers.openai]\nsource = "x"\n'
            "[providers.openai.models]\na = { input = nan, output = 2 }",
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
