"""The errors people see. Each message names the file or field, what was expected, and what to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SHOWN = 5
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "lacks {discriminator}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "json_invalid": "is not valid JSON: {error}",
    "value_error": "{error}",
    "none_required": "must be null",
}
_KINDS = {
    "string": "must be text",
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "tuple": "must be a list",
    "list": "must be a list",
    "dict": "must be a table",
    "mapping": "must be a table",
    "model": "must be a table",
    "datetime": "must be a date with a time",
}
_SELF_EXPLAINED = ("missing", "value_error", "json_invalid")


class GotowceError(Exception):
    """Something that cannot go on, said in one sentence. The command line ends with exit code 1."""


class InputError(GotowceError):
    """Bad input from outside: a file, a table, a parameter. The command line ends with exit code 2."""


class MissingWeightsError(GotowceError):
    """Weights that are neither on this machine nor reachable; the message says how to get them."""


def explain_validation(error: "ValidationError") -> str:
    """What a schema refused: each field with what was expected and what is there, the first five of them."""
    problems = [_problem(detail) for detail in error.errors(include_url=False)]
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "; ".join([*problems[:_SHOWN], *more])


def _problem(detail: "ErrorDetails") -> str:
    place, kind = ".".join(map(str, detail["loc"])), detail["type"]
    words = _WORDS.get(kind) or _KINDS.get(kind.partition("_")[0]) or detail["msg"].lower()
    if kind in _WORDS:
        words = words.format(**detail.get("ctx", {}))
    got = detail["input"]
    is_shown = kind not in _SELF_EXPLAINED and isinstance(got, str | int | float | bool | None)
    shown = f", not {got!r:.60}" if is_shown and kind != "extra_forbidden" else ""
    return f"{place}: {words}{shown}" if place else f"{words}{shown}"
