"""Keys in every form that servers and libraries write them in."""

import base64
import html
import json
import string
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.redact import HIDDEN, redact, secrets_of_environment

KEY = 'sk-Ab/9+x"Q\\z~0&_=17%k'


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


FORMS = {
    "plain": KEY,
    "json": json.dumps(KEY)[1:-1],
    "json with slashes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "json in json": json.dumps(json.dumps(KEY)[1:-1])[1:-1],
    "unicode escapes": escaped(KEY),
    "upper unicode escapes": escaped(KEY).replace("\\u00", "\\U00").replace("\\U", "\\u"),
    "percent": quote(KEY, safe=""),
    "percent, lower": quote(KEY, safe="").lower().replace("sk-ab", "sk-Ab").replace("x%22q", "x%22Q"),
    "percent of all": "".join(f"%{ord(letter):02X}" for letter in KEY),
    "percent twice": quote(quote(KEY, safe=""), safe=""),
    "html": "".join(f"&#{ord(letter)};" for letter in KEY),
    "html, hexadecimal": "".join(f"&#x{ord(letter):X};" for letter in KEY),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_key_goes(form: str) -> None:
    found = redact(f"key <{FORMS[form]}> refused", [KEY])
    assert found == f"key <{HIDDEN}> refused"


@pytest.mark.parametrize("before", ["", "u", "me", "user", "gotowce:", "x" * 20])
@pytest.mark.parametrize("behind", ["", "!", "..", "\n\n\n"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_at_every_alignment_goes(before: str, behind: str, encode: Callable[[bytes], bytes]) -> None:
    written = encode((before + KEY + behind).encode()).decode()
    for shown in (written, quote(written, safe=""), json.dumps(written)[1:-1]):
        found = redact(f"Authorization: Basic {shown}", [KEY])
        assert HIDDEN in found
        # Of what is left, nothing decodes to four characters of the key.
        left = found.partition("Basic ")[2].replace(HIDDEN, "|")
        assert all(len(part) < len(written) - 20 for part in left.split("|"))


@pytest.mark.parametrize("length", range(1, len(KEY) + 1))
def test_a_beginning_goes_from_eight_characters_on(length: int) -> None:
    found = redact(f"{KEY[:length]}... is no key", [KEY])
    assert found == (f"{HIDDEN}... is no key" if length >= 8 else f"{KEY[:length]}... is no key")
    # Eleven characters of base64 hold eight of the key.
    start = base64.b64encode(KEY.encode()).decode()[: length + 3]
    assert (HIDDEN in redact(start, [KEY])) == (length + 3 >= 10)


def test_other_text_stays() -> None:
    text = 'HTTP 400: {"error": "no such model \\u2026", "sk-": 1}'
    assert redact(text, [KEY]) == text
    assert redact(text, []) == text
    assert redact(text, [""]) == text


def test_short_secrets_go_whole_only() -> None:
    assert redact("pass hunter2, hunter", ["hunter2"]) == f"pass {HIDDEN}, hunter"


@pytest.mark.slow
@given(
    st.text(string.ascii_letters + string.digits + string.punctuation, min_size=8, max_size=120),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_no_form_of_any_key_is_left(key: str, before: str, behind: str) -> None:
    for form in (key, json.dumps(key)[1:-1], quote(key, safe=""), escaped(key), html.escape(key)):
        if form != html.escape(key) or form == key:
            assert form not in redact(f"{before}{form}{behind}", [key]).replace(HIDDEN, "\0")
    encoded = base64.b64encode(before.encode() + key.encode() + behind.encode()).decode()
    assert HIDDEN in redact(encoded, [key])


def test_a_key_directly_behind_itself_goes() -> None:
    assert redact("0" * 18, ["0" * 9]) == 2 * HIDDEN


def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("MY_API_KEY", "a" * 20),
        ("HF_TOKEN", "b" * 30),
        ("ODD", "c" * 25),
        ("TINY_KEY", "x"),
    ):
        monkeypatch.setenv(name, value)
    found = secrets_of_environment(["ODD"])
    assert {"a" * 20, "b" * 30, "c" * 25} <= set(found)
    assert "x" not in found
    assert "c" * 25 not in secrets_of_environment()
