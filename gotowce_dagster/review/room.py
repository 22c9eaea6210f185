"""Access to a Label Studio project by its title, and to its tasks in pages."""

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
    """Find the oldest project with exactly this title; None if there is none."""
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
    """List tasks as plain JSON, sorted by id.

    Args:
        fields: Fields of each task; ``annotations`` and ``predictions`` are read completely.
        ids: If not empty, only these tasks.
        changed_after: Only tasks changed later: UTC with microseconds and a Z. Label Studio fails on any
            other format.
    """
    # Sorted by id, so that a task submitted between two pages keeps its position.
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


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Prefetch items: compute the next one in a thread while the caller processes the current one."""
    source = iter(items)

    def next_item() -> Any:
        return next(source, _END)

    with ThreadPoolExecutor(1) as worker:
        pending = worker.submit(next_item)
        while (item := pending.result()) is not _END:
            pending = worker.submit(next_item)
            yield item
