"""Crop sensitivity: how often descriptions of growing crops name the mark, and the words beside it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.core.intervals import wilson
from gotowce_dagster.studies.words import Language, Word

ANY = "any of them"


def find_words(descriptions: pd.DataFrame, searched: Sequence[str], language: Language) -> pd.DataFrame:
    """Look for words in descriptions, by lemma; a phrase is found where its lemmas follow each other.

    Args:
        descriptions: with columns ``describer``, ``max_offset`` and ``description``; null where a model gave
        no
            usable answer, which is left out.

    Returns:
        One row per description and searched word, and ANY: ``description_id``, ``describer``, ``max_offset``,
        ``width``, ``height``, ``word``, ``found``.
    """
    answered = descriptions[descriptions["description"].notna()]
    texts = language.words(answered["description"].tolist())
    lemmas = {word: language.lemmas(word) for word in searched}
    rows = []
    for (place, row), words in zip(answered.iterrows(), texts, strict=True):
        own = [word.lemma for word in words]
        hits = {word: bool(places(own, wanted)) for word, wanted in lemmas.items()}
        about = (place, row["describer"], row["max_offset"], row["width"], row["height"])
        rows += [(*about, word, is_found) for word, is_found in (hits | {ANY: any(hits.values())}).items()]
    columns = ["description_id", "describer", "max_offset", "width", "height", "word", "found"]
    return pd.DataFrame(rows, columns=columns)


def places(lemmas: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where a sequence of lemmas begins in another."""
    length = len(wanted)
    return [p for p in range(len(lemmas) - length + 1) if tuple(lemmas[p : p + length]) == tuple(wanted)]


def shares(found: pd.DataFrame, interval: float) -> pd.DataFrame:
    """The share of descriptions with each word, by describer and maximum offset, with Wilson's interval.

    Returns:
        Columns ``describer``, ``word``, ``max_offset``, ``descriptions``, ``with_word``, ``share``, ``low``,
        ``high``, and ``side``, the median longer side of the crops in pixels.
    """
    rows = []
    sided = found.assign(side=found[["width", "height"]].max(axis=1))
    for describer in sided["describer"].unique():
        for word in sided["word"].unique():
            mine = sided[(sided["describer"] == describer) & (sided["word"] == word)]
            for offset in sorted(mine["max_offset"].unique()):
                here = mine[mine["max_offset"] == offset]
                count, hits = len(here), int(here["found"].sum())
                side = float(here["side"].median())
                ends = wilson(hits, count, interval)
                rows.append((describer, word, int(offset), count, hits, hits / count, *ends, side))
    columns = ["describer", "word", "max_offset", "descriptions", "with_word", "share", "low", "high", "side"]
    return pd.DataFrame(rows, columns=columns)


def neighbourhood(
    descriptions: pd.DataFrame, searched: Sequence[str], language: Language, reach: int
) -> pd.DataFrame:
    """The content words beside the searched ones: ``reach`` on either side, by lemma, without stop words.

    Args:
        descriptions: as for find_words, with ``width`` and ``height`` of the crops in pixels.

    Returns:
        Columns ``describer``, ``word``, ``neighbour``, ``count``, ``median_offset``, ``median_width`` and
        ``median_height``; the most frequent first.
    """
    answered = descriptions[descriptions["description"].notna()]
    texts = language.words(answered["description"].tolist())
    lemmas = {word: language.lemmas(word) for word in searched}
    rows = []
    for (_, row), words in zip(answered.iterrows(), texts, strict=True):
        own = [word.lemma for word in words]
        about = (row["max_offset"], row["width"], row["height"])
        for name, wanted in lemmas.items():
            for place in places(own, wanted):
                near = _beside(words, place, place + len(wanted), reach)
                rows += [(row["describer"], name, other, *about) for other in near]
    columns = ["describer", "word", "neighbour", "max_offset", "width", "height"]
    grouped = pd.DataFrame(rows, columns=columns).groupby(["describer", "word", "neighbour"])
    table = grouped.agg(
        count=("max_offset", "size"),
        median_offset=("max_offset", "median"),
        median_width=("width", "median"),
        median_height=("height", "median"),
    ).reset_index()
    order = ["describer", "count", "word", "neighbour"]
    return table.sort_values(order, ascending=[True, False, True, True], ignore_index=True)


def _beside(words: Sequence[Word], start: int, end: int, reach: int) -> list[str]:
    before = [word.lemma for word in words[:start] if word.is_content][-reach:]
    after = [word.lemma for word in words[end:] if word.is_content][:reach]
    return [*before, *after]


def noticed_up_to(table: pd.DataFrame, describer: str, least: float, word: str = ANY) -> pd.Series | None:
    """The row of ``shares`` with the largest offset up to which the word is noticed at all smaller ones too.

    Args:
        least: a share of descriptions from this on counts as noticed.
    """
    mine = table[(table["describer"] == describer) & (table["word"] == word)].sort_values("max_offset")
    enough = (mine["share"] >= least).to_numpy()
    length = int(np.append(~enough, True).argmax())
    return mine.iloc[length - 1] if length else None


def answer(table: pd.DataFrame, describer: str, least: float) -> str:
    """One sentence: up to what context a model notices the mark."""
    mine = table[(table["describer"] == describer) & (table["word"] == ANY)].sort_values("max_offset")
    if mine.empty:
        return f"{describer} gave no usable description."
    last = noticed_up_to(table, describer, least)
    if last is None:
        first = mine.iloc[0]
        return (
            f"{describer} does not notice the mark: of the tightest crops (at most {first['max_offset']} "
            f"px around it) {_share(first)} of descriptions have one of the words, less than {least:.0%}."
        )
    wider = mine[mine["max_offset"] > last["max_offset"]]
    after = (
        f"; with at most {wider.iloc[0]['max_offset']} px it is {_share(wider.iloc[0])}"
        if len(wider)
        else ", which is as far as was looked"
    )
    return (
        f"{describer} notices the mark up to {last['max_offset']} px of context on each side (crops of "
        f"{last['side']:.0f} px), where {_share(last)} of descriptions have one of the words{after}."
    )


def _share(row: pd.Series) -> str:
    return f"{row['share']:.0%} ({row['low']:.0%} to {row['high']:.0%}, {row['descriptions']} descriptions)"
