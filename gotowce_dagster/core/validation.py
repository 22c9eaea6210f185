"""Messages for pydantic's validation errors: field, expected value, given value."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "date_parsing": "a date such as 2026-01-31",
    "date_type": "a date such as 2026-01-31",
    "datetime_from_date_parsing": "a date and time such as 2026-01-31T12:00:00Z",
    "datetime_parsing": "a date and time such as 2026-01-31T12:00:00Z",
    "datetime_type": "a date and time such as 2026-01-31T12:00:00Z",
    "dict_type": "a table of names and values",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "frozen_set_type": "a list",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of less than 4300 digits",
    "int_type": "a whole number",
    "is_instance_of": "{class}",
    "iterable_type": "a list",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "mapping_type": "a table of names and values",
    "model_attributes_type": "a table of names and values",
    "model_type": "a table of names and values",
    "multiple_of": "a multiple of {multiple_of}",
    "none_required": "nothing (null)",
    "set_type": "a list",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_long": "at most {max_length} letters",
    "string_too_short": "at least {min_length} letters",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "timezone_aware": "a time with its zone, such as 2026-01-31T12:00:00Z",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
    "tuple_type": "a list",
    "url_parsing": "an address such as http://127.0.0.1:8080",
    "url_scheme": "an address that begins with one of {expected_schemes}",
    "url_type": "an address such as http://127.0.0.1:8080",
}
_WHOLE = {
    "extra_forbidden": "there is no such field; remove it or correct its name",
    "json_invalid": "not valid JSON: {error}",
    "json_type": "not valid JSON",
    "missing": "is missing",
    "recursion_loop": "contains itself",
    "union_tag_not_found": "is missing its {discriminator}",
}
_LONGEST = 60
_SHOWN = 5


def in_words(error: ValidationError, content: Any = None, name: str = "") -> str:
    """Format the first five problems in one line: ``masks.near: expected at least 0, got -1; ...``.

    Args:
        content: The validated content, used to leave the names of union alternatives out of field paths.
        name: Name for problems of the content as a whole.
    """
    problems = error.errors(include_url=False)
    problems = [problem for problem in problems if not _follows(problem, problems)]
    # A mistyped name is unknown, and the right one missing: what was written comes first.
    problems.sort(key=lambda problem: problem["type"] == "missing")
    shown = [_problem(problem, content, name) for problem in problems[:_SHOWN]]
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "; ".join([*shown, *more])


def _follows(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> bool:
    """Whether a list is reported as too short only because some of its entries are invalid."""
    place = problem["loc"]
    return problem["type"] == "too_short" and any(
        other["loc"][: len(place)] == place != other["loc"] for other in problems
    )


def _problem(problem: ErrorDetails, content: Any, name: str) -> str:
    kind = problem["type"]
    context = {
        name: f"{value:g}" if isinstance(value, float) else value
        for name, value in problem.get("ctx", {}).items()
    }
    place = ".".join(_place(problem["loc"], content)) or name
    start = f"{place}: " if place else ""
    if kind in {"value_error", "assertion_error"}:  # raised by our own checks
        return f"{start}{context['error']}"
    if kind in _WHOLE:
        message = _WHOLE[kind].format(**context).replace("'", "")
        return f"{start}{message}" if start or kind != "missing" else "a field is missing"
    if kind == "union_tag_invalid":
        field = context["discriminator"].strip("'")
        start = ".".join(filter(None, (place, field)))
        return f"{start}: expected one of {context['expected_tags']}, got {context['tag']!r}"
    expected = _EXPECTED[kind].format(**context) if kind in _EXPECTED else _of_pydantic(problem["msg"])
    return f"{start}expected {expected}, got {_given(problem['input'])}"


def _of_pydantic(message: str) -> str:
    """Shorten pydantic's own message, for kinds of errors not listed in _EXPECTED."""
    return message.removeprefix("Input should be ").removeprefix("Value should be ")


def _place(location: Sequence[int | str], content: Any) -> Iterator[str]:
    """The path of a field in the content, without the names of union alternatives."""
    for number, part in enumerate(location):
        is_last = number == len(location) - 1
        if isinstance(content, Mapping):
            if part in content:
                content = content[part]
            elif not is_last and content is not None:
                continue
        elif isinstance(content, Sequence) and not isinstance(content, str):
            if isinstance(part, int) and part < len(content):
                content = content[part]
            elif not isinstance(part, int):
                continue
        elif content is not None and not is_last:
            continue
        yield str(part)


def _given(value: Any) -> str:
    """The given value as text, shortened."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    text = "nothing" if value is None else " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
