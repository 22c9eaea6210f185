"""Match the labels of a model's response to the prompted phrases and their classes."""

import re
from collections.abc import Mapping, Sequence

_SMALL = frozenset(
    ["a", "an", "and", "around", "at", "by", "in", "is", "of", "on", "or", "the", "to", "with"]
)


class Phrases:
    """The phrases of classes, and the matching of labels to them.

    Args:
        prompts: class -> its phrases.
    """

    def __init__(self, prompts: Mapping[str, Sequence[str]]) -> None:
        self._owners = {_plain(phrase): name for name, phrases in prompts.items() for phrase in phrases}
        self._words = {phrase: _words(phrase) for phrase in self._owners}

    @property
    def asked(self) -> list[str]:
        """The distinct phrases, in lower case and without full stops."""
        return list(self._owners)

    def owner(self, label: str, least_shared: float = 0.0) -> tuple[str, str] | None:
        """The class and phrase that a label belongs to, or None.

        An equal phrase, else the phrase with the most words in common, ignoring plurals.

        Args:
            least_shared: the least share of the words of the shorter one that both have in common.
        """
        plain, words = _plain(label), _words(label)
        if plain in self._owners:
            return self._owners[plain], plain
        shared = {phrase: _alike(words, own) for phrase, own in self._words.items()}
        best = max(shared, key=lambda phrase: shared[phrase], default="")
        share, _ = shared.get(best, (0.0, 0.0))
        return (self._owners[best], best) if share > 0 and share >= least_shared else None


def _alike(label: frozenset[str], phrase: frozenset[str]) -> tuple[float, float]:
    """Words in common, as a share of the shorter one's words and of all words."""
    both, shorter = len(label & phrase), min(len(label), len(phrase))
    return (both / shorter, both / len(label | phrase)) if shorter else (0.0, 0.0)


def _plain(phrase: str) -> str:
    return " ".join(phrase.lower().replace(".", " ").split())


def _words(phrase: str) -> frozenset[str]:
    return frozenset(w.removesuffix("s") for w in re.findall(r"\w+", phrase.lower()) if w not in _SMALL)
