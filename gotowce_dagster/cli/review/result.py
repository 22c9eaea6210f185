"""The numbers and notes of a review command."""

from typing import Any

from gotowce_dagster.cli import console


def show_result(title: str, numbers: dict[str, Any], notes: list[str], json: bool) -> None:
    notes = [*numbers.pop("problems", []), *notes]
    if json:
        console.show_json(numbers | {"notes": notes})
        return
    shown = {
        what: ", ".join(value) or "none" if isinstance(value, list) else value
        for what, value in numbers.items()
        if value is not None
    }
    console.show_table(title, ["", ""], ([what, console.number(value)] for what, value in shown.items()))
    for note in notes:
        console.note(note)
