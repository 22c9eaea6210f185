"""Words of texts by lemma, with spaCy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from gotowce_dagster.core import extras
from gotowce_dagster.core.errors import InputError

_CONTENT = frozenset(["NOUN", "PROPN", "ADJ", "VERB", "ADV", "NUM"])


class Word(NamedTuple):
    """A word of a text."""

    lemma: str
    """In lower case."""
    is_content: bool
    """A noun, adjective, verb, adverb or number, and no stop word."""


@dataclass(frozen=True)
class Language:
    """Splits texts into words.

    Args:
        models: names of spaCy's models; the first that is installed is used.
    """

    models: tuple[str, ...]

    def words(self, texts: Sequence[str]) -> list[list[Word]]:
        """The words of each text, without punctuation.

        Raises:
            MissingExtraError: spaCy is not installed.
            InputError: none of its models is.
        """
        return [
            [_word(token) for token in text if not (token.is_punct or token.is_space)]
            for text in _loaded(self.models).pipe(text.lower() for text in texts)
        ]

    def lemmas(self, phrase: str) -> tuple[str, ...]:
        """The lemmas of a phrase."""
        return tuple(word.lemma for word in self.words([phrase])[0])


def _word(token: Any) -> Word:
    return Word(token.lemma_.lower(), token.pos_ in _CONTENT and not token.is_stop)


@cache
def _loaded(models: tuple[str, ...]) -> Any:
    extras.require("studies", "the analysis of words")
    import spacy

    for name in models:
        if spacy.util.is_package(name):
            return spacy.load(name, exclude=["ner", "parser"])
    raise InputError(
        f"none of spaCy's models {', '.join(models)} is installed; run `{extras.command('studies')}`, or "
        f"`python -m spacy download {models[0]}`"
    )
