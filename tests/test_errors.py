from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.errors import explain_validation
from gotowce_dagster.safe_names import SafeName


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
    ("content", "says"),
    [
        ({}, "part: is missing"),
        ({"part": {"shares": 1}}, "part.shares: is unknown"),
        ({"part": {"share": float("nan")}}, "part.share: must be a finite number, not nan"),
        ({"part": {"share": 1.5}}, "part.share: must be at most 1.0, not 1.5"),
        ({"part": {"share": "much"}}, "part.share: must be a number, not 'much'"),
        ({"part": {"count": 0}}, "part.count: must be above 0, not 0"),
        ({"part": {"count": 1.5}}, "part.count: must be a whole number, not 1.5"),
        ({"part": {"mode": "film"}}, "part.mode: must be 'image' or 'video', not 'film'"),
        ({"part": {"name": ".."}}, "part.name: '..' begins with a dot"),
        ({"part": {"list": []}}, "part.list: must have at least 1 entries"),
        ({"part": {"list": "no"}}, "part.list: must be a list, not 'no'"),
        ({"part": {"text": ""}}, "part.text: must not be empty"),
        ({"part": 3}, "part: must be a table, not 3"),
    ],
)
def test_each_fault_is_told_in_our_words(content: dict, says: str) -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate(content)
    assert explain_validation(error.value).startswith(says)
    assert "pydantic" not in explain_validation(error.value)


def test_many_faults_are_counted() -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate({"part": {str(number): 1 for number in range(9)}})
    assert explain_validation(error.value).endswith("; and 4 more")


def test_text_that_is_no_json() -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate_json("{")
    assert explain_validation(error.value).startswith("is not valid JSON: ")
