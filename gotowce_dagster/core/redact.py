"""Redaction of keys and tokens in text for tables, logs and the screen.

Servers repeat the key that they refuse, whole or cut, and in the form of whatever they put it into: JSON, a
URL, HTML, the base64 of a header. Every one of these forms of a key is found here, and every beginning of it
that is long enough to help somebody guess.
"""

import base64
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

HIDDEN = "(key)"
LEAST = 8
"""Length of a key's beginning from which on it is redacted."""

_URL_SAFE = {"+": "+-", "/": "/_"}
"""Characters of base64 that are written differently in URLs."""
_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASS)$")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace all forms of the secrets in a text with ``(key)``."""
    for secret in secrets:
        for letters, least in _needles(secret):
            text = _without(text, letters, least)
    return text


def secrets_of_environment(more: Iterable[str] = ()) -> list[str]:
    """The values of environment variables whose names suggest keys, and of those named in ``more``."""
    names = {name for name in os.environ if _NAMES.search(name.upper())} | set(more)
    found = {os.environ.get(name, "").strip() for name in names}
    return sorted((value for value in found if len(value) >= LEAST), key=len, reverse=True)


def _needles(secret: str) -> Iterator[tuple[list[str], int]]:
    """What to look for, a group of equal characters at a time, and how many of its beginning are enough."""
    if not secret:
        return
    yield list(secret), min(LEAST, len(secret))
    raw = secret.encode()
    for offset in range(3):
        # Characters that also hold bits of what stands before or behind the secret differ with that.
        first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        enough = (offset + min(LEAST, len(raw))) * 8 // 6 - first
        encoded = base64.b64encode(bytes(offset) + raw).decode()[first:last]
        yield [_URL_SAFE.get(character, character) for character in encoded], enough


def _without(text: str, letters: Sequence[str], least: int) -> str:
    parts, done, begins = [], 0, _start(tuple(letters[:least]))
    # From the end of each: one begins directly behind another, whatever they have in common.
    while found := begins.search(text, done):
        end = found.end()
        for letter in letters[least:]:
            more = _forms(letter).match(text, end)
            if more is None:
                break
            end = more.end()
        parts += [text[done : found.start()], HIDDEN]
        done = end
    return "".join([*parts, text[done:]])


@lru_cache(maxsize=64)
def _start(letters: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("".join(_forms(letter).pattern for letter in letters))


@lru_cache(maxsize=256)
def _forms(letter: str) -> re.Pattern[str]:
    """Equal characters in all their forms: of a URL (once or more escaped), of JSON, of HTML, plain."""
    forms = []
    for character in letter:
        code = f"{ord(character):x}"
        forms += ["".join(f"%(?:25)*{_any_case(f'{byte:02x}')}" for byte in character.encode())]
        forms += [rf"\\+u{_any_case(code.zfill(4))}", rf"\\+x{_any_case(code.zfill(2))}"]
        forms += [f"&#0*{ord(character)};", f"&#[xX]0*{_any_case(code)};"]
        forms += [rf"\\+{re.escape(character)}", re.escape(character)]
    return re.compile(f"(?:{'|'.join(forms)})")


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
