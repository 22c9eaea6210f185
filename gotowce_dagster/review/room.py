"""A project in Label Studio: found by its title, and its tasks in pages."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

T = TypeVar("T")

_PAGE = 1000
_END: Any = object()


def find_project(client: "LabelStudio", title: str) -> Any | None:
    """The oldest project of exactly this title, or None."""
    same = {p.id: p for p in client.projects.list(title=title) if p and p.title == title}
    return same[min(same)] if same else None


def list_tasks(
    client: "LabelStudio",
    project: int,
    fields: Sequence[str],
    *,
    ids: Sequence[int] = (),
    changed_after: str = "",
) -> Iterator[dict[str, Any]]:
    """Tasks as plain JSON, by id.

    Args:
        fields: what each has; ``annotations`` and ``predictions`` are read whole.
        ids: only these, if any are named.
        changed_after: only those changed later; UTC with microseconds and a Z, anything else is an error
            inside Label Studio.
    """
    # By id: a task that somebody submits between two pages keeps its place in them.
    query: dict[str, Any] = {"ordering": ["tasks:id"]}
    conditions = []
    if changed_after:
        conditions.append(("updated_at", "greater", "Datetime", changed_after))
    if ids:
        conditions.append(("id", "in_list", "Number", list(ids)))
    if conditions:
        query["filters"] = {
            "conjunction": "and",
            "items": [
                {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}
                for name, operator, kind, value in conditions
            ],
        }
    pages = client.tasks.list(
        project=project,
        query=json.dumps(query),
        fields="all" if {"annotations", "predictions"} & set(fields) else "task_only",
        include=",".join(fields),
        page_size=_PAGE,
    )
    for task in pages:
        yield task.model_dump(mode="json", include=set(fields))


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, each made while the caller is still busy with the one before: half of it is waiting."""
    source = iter(items)

    def following() -> Any:
        return next(source, _END)

    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(following)
        while (item := coming.result()) is not _END:
            coming = worker.submit(following)
            yield item
