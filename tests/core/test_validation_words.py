from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.core.safe_names import SafeName
from gotowce_dagster.core.validation import in_words


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    share: float = Field(default=0.5, ge=0, le=1)
    mode: Literal["image", "video"] = "image"
    count: int = Field(default=1, gt=0)
    name: SafeName = "a"
    list: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)
    text: str = Field(default="x", min_length=1)


class _Whole(_Part):
    part: _Part


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "part: is missing"),
        ({"part": {"shares": 1}}, "part.shares: there is no such field"),
        ({"part": {"share": float("nan")}}, "part.share: expected a finite number, got nan"),
        ({"part": {"share": 1.5}}, "part.share: expected at most 1, got 1.5"),
        ({"part": {"share": "much"}}, "part.share: expected a number, got 'much'"),
        ({"part": {"count": 0}}, "part.count: expected more than 0, got 0"),
        ({"part": {"count": 1.5}}, "part.count: expected a whole number, got 1.5"),
        ({"part": {"mode": "film"}}, "part.mode: expected 'image' or 'video', got 'film'"),
        ({"part": {"name": ".."}}, "part.name: '..' begins with a dot"),
        ({"part": {"list": []}}, "part.list: expected at least 1 entries"),
        ({"part": {"list": "no"}}, "part.list: expected a list, got 'no'"),
        ({"part": {"text": ""}}, "part.text: expected at least 1 letters"),
        ({"part": 3}, "part: expected a table of names and values, got 3"),
    ],
)
def test_each_fault_has_its_own_message(content: dict, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate(content)
    assert in_words(error.value).startswith(message)
    assert "pydantic" not in in_words(error.value)


def test_many_faults_are_counted() -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate({"part": {str(number): 1 for number in range(9)}})
    assert in_words(error.value).endswith("; and 4 more")


def test_text_that_is_no_json() -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate_json("{")
    assert in_words(error.value).startswith("not valid JSON: ")
