"""What is wrong with a value, in our words."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.config.params import Params
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.core.yaml_files import read_yaml
from gotowce_dagster.designators.profile import Profile
from tests.conftest import ROOT

PYDANTIC = (
    "Input should",
    "Value error",
    "Field required",
    "Extra inputs",
    "valid dictionary",
    "validation error",
    "pydantic",
    "input_value",
    "String should",
    "List should",
    "unable to",
)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    number: float = Field(default=1, ge=0, lt=10)
    whole: int = Field(default=32, gt=0, le=64, multiple_of=32)
    flag: bool = False
    word: str = Field(default="ab", min_length=2, max_length=4, pattern="^[a-z]+$")
    choice: Literal["on", "off"] = "on"
    many: list[int] = Field(default=[1], min_length=1, max_length=2)
    pair: tuple[int, int] = (1, 2)
    day: date = date(2026, 1, 1)
    time: datetime = datetime(2026, 1, 1)
    table: dict[str, int] = {}
    finite: Annotated[float, Field(allow_inf_nan=False)] = 0
    even: int = 2

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd; expected an even number")
        return value


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    part: Part
    parts: list[Part] = []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"number": -1}, "part.number: expected at least 0, got -1"),
        ({"number": 10}, "part.number: expected less than 10, got 10"),
        ({"number": "yes"}, "part.number: expected a number, got 'yes'"),
        ({"number": True}, "part.number: expected a number, got true"),
        ({"number": None}, "part.number: expected a number, got nothing"),
        ({"number": [1]}, "part.number: expected a number, got [1]"),
        ({"whole": 0}, "part.whole: expected more than 0, got 0"),
        ({"whole": 96}, "part.whole: expected at most 64, got 96"),
        ({"whole": 33}, "part.whole: expected a multiple of 32, got 33"),
        ({"whole": 1.5}, "part.whole: expected a whole number, got 1.5"),
        ({"flag": "yes"}, "part.flag: expected true or false, got 'yes'"),
        ({"flag": 1}, "part.flag: expected true or false, got 1"),
        ({"word": "a"}, "part.word: expected at least 2 letters, got 'a'"),
        ({"word": "abcde"}, "part.word: expected at most 4 letters, got 'abcde'"),
        ({"word": "A1"}, "part.word: expected text of the form ^[a-z]+$, got 'A1'"),
        ({"word": 7}, "part.word: expected text, got 7"),
        ({"choice": "true"}, "part.choice: expected 'on' or 'off', got 'true'"),
        ({"many": []}, "part.many: expected at least 1 entries, got []"),
        ({"many": [1, 2, 3]}, "part.many: expected at most 2 entries, got [1, 2, 3]"),
        ({"many": 5}, "part.many: expected a list, got 5"),
        ({"many": ["x"]}, "part.many.0: expected a whole number, got 'x'"),
        ({"pair": 5}, "part.pair: expected a list, got 5"),
        ({"pair": (1,)}, "part.pair.1: is missing"),
        ({"day": "soon"}, "part.day: expected a date such as 2026-01-31, got 'soon'"),
        ({"time": "soon"}, "part.time: expected a date and time such as 2026-01-31T12:00:00Z, got 'soon'"),
        ({"table": 3}, "part.table: expected a table of names and values, got 3"),
        ({"table": {"a": "b"}}, "part.table.a: expected a whole number, got 'b'"),
        ({"finite": float("nan")}, "part.finite: expected a finite number, got nan"),
        ({"even": 3}, "part.even: 3 is odd; expected an even number"),
        ({"colour": "red"}, "part.colour: there is no such field; remove it or correct its name"),
        ({"number": "x" * 500}, "part.number: expected a number, got '" + "x" * 58 + "…"),
        (3, "part: expected a table of names and values, got 3"),
    ],
)
def test_each_kind_of_mistake(given: Any, words: str) -> None:
    content = {"part": given}
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(content)
    assert in_words(caught.value, content) == words


def test_missing_fields_and_several_mistakes() -> None:
    content = {"parts": [{}, {"number": -1, "flag": 2}]}
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(content)
    assert in_words(caught.value, content) == (
        "parts.1.number: expected at least 0, got -1; parts.1.flag: expected true or false, got 2; "
        "part: is missing"
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "magic"}, "kind: expected one of "),
        ({}, "is missing its kind"),
        ({"kind": "yolo", "imgsz": 33}, "imgsz: expected a multiple of 32, got 33"),
        ({"kind": "yolo", "min_confidence": "high"}, "min_confidence: expected a number, got 'high'"),
        (
            {"kind": "yolo", "input": {"crop": {"region": [0, 0, 2, 1]}}},
            "input.crop.region.2: expected at most 1",
        ),
    ],
)
def test_alternatives_are_no_part_of_a_fields_path(settings: dict, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(DetectorSettings).validate_python(settings)
    assert in_words(caught.value, settings).startswith(words)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SHIPPED = read_yaml(ROOT / "params.yaml")


def _leaves(content: Any, place: tuple = ()) -> list[tuple]:
    pairs = content.items() if isinstance(content, dict) else ()
    return [place, *(leaf for key, value in pairs for leaf in _leaves(value, (*place, key)))]


@given(place=st.sampled_from(_leaves(SHIPPED)[1:]), junk=JUNK)
def test_junk_anywhere_in_params_is_accepted_or_explained(place: tuple, junk: Any) -> None:
    content = _with(SHIPPED, place, junk)
    try:
        Params.model_validate(content)
    except ValidationError as error:
        message = in_words(error, content)
        assert place[0] in message
        assert not [words for words in PYDANTIC if words in message.replace(repr(junk), "")]


@given(JUNK)
def test_junk_for_a_profile_is_accepted_or_explained(junk: Any) -> None:
    content = {"name": "a", "designators": junk}
    try:
        Profile.model_validate(content)
    except ValidationError as error:
        assert "designators" in in_words(error, content)
        assert not [words for words in PYDANTIC if words in in_words(error, content)]


def _with(content: Any, place: tuple, junk: Any) -> Any:
    if not place:
        return junk
    return {**content, place[0]: _with(content[place[0]], place[1:], junk)}
