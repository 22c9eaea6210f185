"""Vocabularies of detection data sets, and which of their categories a phrase is or is near to.

The names come from the data set files that ultralytics ships; LVIS's own file adds definitions, frequencies
and numbers of images.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.yaml_files import read_yaml
from gotowce_dagster.detectors.local.yolo_world import embed
from gotowce_dagster.studies.words import Language, Word

FILES = {
    "LVIS": "lvis.yaml",
    "Objects365": "Objects365.yaml",
    "COCO": "coco.yaml",
    "Open Images": "open-images-v7.yaml",
}
_FREQUENCY = {"r": "rare", "c": "common", "f": "frequent"}


@dataclass(frozen=True)
class Category:
    """A category of a data set."""

    vocabulary: str
    names: tuple[str, ...]
    """The name and its synonyms, in lower case."""
    definition: str = ""
    frequency: str = ""
    images: int | None = None


def read_categories(lvis: Path | None = None) -> list[Category]:
    """The categories of all data sets.

    Args:
        lvis: LVIS's annotation file, or a list of its categories; replaces the shipped names.

    Raises:
        InputError: that file is missing or has no categories.
    """
    spec = find_spec("ultralytics")
    assert spec is not None, "a dependency of this package"
    assert spec.submodule_search_locations, "it is a package"
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "datasets"
    found = []
    for vocabulary, file in FILES.items():
        if vocabulary == "LVIS" and lvis is not None:
            found += read_lvis(lvis)
            continue
        names = read_yaml(folder / file)["names"]
        found += [Category(vocabulary, _split(str(name).split("/"))) for name in names.values()]
    return found


def read_lvis(path: Path) -> list[Category]:
    """The categories in lvis_v1_train.json, or in a JSON list of categories as it has them.

    Raises:
        InputError: the file is missing, no JSON, or has no categories with names.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = content["categories"] if isinstance(content, dict) else content
        return [_of_lvis(one) for one in listed]
    except FileNotFoundError:
        raise InputError(f"{path}: missing; correct vocabulary.lvis_categories in params.yaml") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a list of LVIS categories with name and synonyms ({error!r}); use "
            f"lvis_v1_train.json"
        ) from None


def _of_lvis(one: dict[str, Any]) -> Category:
    names = _split([one["name"], *one.get("synonyms", [])])
    frequency = _FREQUENCY.get(one.get("frequency", ""), "")
    return Category("LVIS", names, one.get("def", ""), frequency, one.get("image_count"))


def _split(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(name.replace("_", " ").lower().split()) for name in names))


def look_up(
    phrases: Sequence[str], categories: Sequence[Category], language: Language, nearest: int
) -> pd.DataFrame:
    """The categories that each phrase is, or is nearest to by the words they share.

    Returns:
        Columns ``phrase``, ``vocabulary``, ``match`` (exact: the same text; lemma: the same words in another
        inflection; near: some words in common), ``category``, ``shared`` (share of all words of both that
        both have), ``definition``, ``frequency`` and ``images``. Near ones only where a vocabulary has no
        other match.
    """
    terms = [(category, name) for category in categories for name in category.names]
    words = language.words([name for _, name in terms])
    sets = [(_content(own), tuple(w.lemma for w in own)) for own in words]
    rows = []
    for phrase in phrases:
        text, (asked,) = " ".join(phrase.lower().split()), language.words([phrase])
        lemmas, about = tuple(w.lemma for w in asked), _content(asked)
        for vocabulary in dict.fromkeys(category.vocabulary for category in categories):
            mine = [
                (
                    _match(text, lemmas, name, own),
                    len(about & bag) / max(len(about | bag), 1),
                    name,
                    category,
                )
                for (category, name), (bag, own) in zip(terms, sets, strict=True)
                if category.vocabulary == vocabulary
            ]
            exact = [one for one in mine if one[0] != "near"]
            near = sorted((one for one in mine if one[1] > 0), key=lambda one: -one[1])[:nearest]
            rows += [
                (
                    phrase,
                    vocabulary,
                    match,
                    name,
                    shared,
                    category.definition,
                    category.frequency,
                    category.images,
                )
                for match, shared, name, category in exact or near
            ]
    columns = ["phrase", "vocabulary", "match", "category", "shared", "definition", "frequency", "images"]
    return pd.DataFrame(rows, columns=columns)


def _content(words: Sequence[Word]) -> frozenset[str]:
    return frozenset(word.lemma for word in words if word.is_content)


def _match(text: str, lemmas: tuple[str, ...], name: str, own: tuple[str, ...]) -> str:
    if text == name:
        return "exact"
    return "lemma" if lemmas == own else "near"


def nearest_by_embedding(
    phrases: Sequence[str], categories: Sequence[Category], weights: str, nearest: int
) -> pd.DataFrame:
    """The categories whose first names are nearest to each phrase in CLIP's text space, over all
    vocabularies.

    Args:
        weights: of a CLIP model in a folder as the hub has it, on this machine.

    Returns:
        Columns ``phrase``, ``category``, ``vocabularies`` and ``similarity``, the cosine of both embeddings.

    Raises:
        MissingWeightsError: the weights are damaged, or of another model.
    """
    owners: dict[str, list[str]] = {}
    for category in categories:
        owners.setdefault(category.names[0], []).append(category.vocabulary)
    names = list(owners)
    embedded = embed([*phrases, *names], weights).numpy()
    similarity = embedded[: len(phrases)] @ embedded[len(phrases) :].T
    rows = [
        (phrase, names[place], ", ".join(owners[names[place]]), float(row[place]))
        for phrase, row in zip(phrases, similarity, strict=True)
        for place in np.argsort(-row)[:nearest]
    ]
    return pd.DataFrame(rows, columns=["phrase", "category", "vocabularies", "similarity"])


def advice(phrase: str, matches: pd.DataFrame, behaviour: pd.DataFrame) -> str:
    """One sentence: whether to keep a phrase, and what to try instead.

    Args:
        matches: from look_up.
        behaviour: rows of detectors, with ``word``, ``role`` and ``highest`` confidence; may be empty.
    """
    mine = matches[matches["phrase"] == phrase]
    exact, lemma = (mine[mine["match"] == kind] for kind in ("exact", "lemma"))
    if len(exact):
        sentence = (
            f"{phrase!r} is a category of {_list(exact['vocabulary'])}: detectors trained on them know it"
        )
    elif len(lemma):
        known, where = _list(lemma["category"], quote=True), _list(lemma["vocabulary"])
        sentence = f"{phrase!r} is {known} in {where}: write that"
    elif len(mine):
        near = (
            mine.sort_values("shared", ascending=False, kind="stable")["category"].drop_duplicates().head(5)
        )
        them = "is {}: try that" if len(near) == 1 else "are {}: try those"
        near_to_it = them.format(_list(near, quote=True))
        sentence = f"{phrase!r} is in no vocabulary; near to it {near_to_it}"
    else:
        sentence = f"{phrase!r} is in no vocabulary, nor is any of its words: try other words for it"
    own = behaviour[behaviour["word"] == phrase]["highest"].dropna()
    others = behaviour[behaviour["word"] != phrase].dropna(subset=["highest"])
    if len(own) and len(others):
        best = others.loc[others["highest"].idxmax()]
        sentence += (
            f". Highest confidence on the sample frames: {own.max():.3f}; of all other words "
            f"{best['highest']:.3f} ({best['word']!r}, {best['role']})"
        )
    return f"{sentence}."


def _list(values: pd.Series, quote: bool = False) -> str:
    names = list(dict.fromkeys(values))
    return ", ".join(repr(name) if quote else name for name in names)
