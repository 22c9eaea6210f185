"""From what a model says back to the class it was asked for."""

import re
from collections.abc import Mapping, Sequence

_SMALL = frozenset(
    ["a", "an", "and", "around", "at", "by", "in", "is", "of", "on", "or", "the", "to", "with"]
)


class Phrases:
    """The phrases of some classes, and who owns what a model says.

    Args:
        prompts: class -> its phrases.
    """

    def __init__(self, prompts: Mapping[str, Sequence[str]]) -> None:
        self._owners = {_plain(phrase): name for name, phrases in prompts.items() for phrase in phrases}
        self._words = {phrase: _words(phrase) for phrase in self._owners}

    @property
    def asked(self) -> list[str]:
        """Every phrase once, in lower case and without full stops."""
        return list(self._owners)

    def owner(self, said: str, least_shared: float = 0.0) -> tuple[str, str] | None:
        """Class and phrase that what was said belongs to, or None.

        The same phrase, else the one that shares most words with it, plural or not.

        Args:
            least_shared: share of the words of the shorter of both that must be in the other, too.
        """
        plain, words = _plain(said), _words(said)
        if plain in self._owners:
            return self._owners[plain], plain
        shared = {phrase: _alike(words, own) for phrase, own in self._words.items()}
        best = max(shared, key=lambda phrase: shared[phrase], default="")
        share, _ = shared.get(best, (0.0, 0.0))
        return (self._owners[best], best) if share > 0 and share >= least_shared else None


def _alike(said: frozenset[str], own: frozenset[str]) -> tuple[float, float]:
    """Share of the shorter's words that both have, and of all words."""
    both, shorter = len(said & own), min(len(said), len(own))
    return (both / shorter, both / len(said | own)) if shorter else (0.0, 0.0)


def _plain(phrase: str) -> str:
    return " ".join(phrase.lower().replace(".", " ").split())


def _words(phrase: str) -> frozenset[str]:
    return frozenset(w.removesuffix("s") for w in re.findall(r"\w+", phrase.lower()) if w not in _SMALL)
