"""Imports go one way, folder by folder, as docs/design.md draws them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gotowce_dagster"

ORDER = (
    "core",
    "config",
    "video pictures",
    "designators segmenters",
    "propagation detectors",
    "labels",
    "labelling",
    "training",
    "evaluation",
    "review comparison",
    "studies",
    "interchange inference",
    "stages",
    "previews",
    "intake diagnosis",
    "cluster",
    "assets",
    "api definitions",
    "cli",
)
"""Folders and single modules of the package, lowest first; those of one line do not import each other."""

RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}


def parts() -> list[str]:
    """The folders and modules right below the package."""
    names = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    return sorted(names - {"__init__"})


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What a module imports of the package, inside functions and for type checkers too: folder, line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in dotted:
            top, _, rest = name.partition(".")
            if top == PACKAGE.name and rest:
                yield rest.partition(".")[0], node.lineno


@cache
def folder_graph() -> dict[str, dict[str, list[str]]]:
    """Of each folder the others that it imports, each with the places."""
    graph: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other, line in imports_of(ast.parse(path.read_text(encoding="utf-8"))):
            if other in RANK and other != own:
                graph[own][other].append(f"{path.relative_to(PACKAGE.parent)}:{line}")
    return graph


def test_every_folder_has_its_place() -> None:
    assert parts() == sorted(RANK)


@pytest.mark.parametrize("folder", sorted(RANK))
def test_imports_go_one_way(folder: str) -> None:
    wrong = {
        f"{folder} -> {other}": places
        for other, places in folder_graph()[folder].items()
        if RANK[other] >= RANK[folder]
    }
    assert not wrong


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import gotowce_dagster.stages.masks", ["stages"]),
        ("from gotowce_dagster import cli", ["cli"]),
        ("def f():\n    from gotowce_dagster.assets.jobs import label_videos", ["assets"]),
        ("import numpy\nfrom pathlib import Path", []),
    ],
)
def test_imports_are_seen(code: str, found: list[str]) -> None:
    assert [folder for folder, _ in imports_of(ast.parse(code))] == found


def picture() -> str:
    """The imports as text: each folder with the folders it imports, lowest first."""
    graph = folder_graph()
    lines = []
    for folder in (name for names in ORDER for name in names.split()):
        imported = sorted(graph.get(folder, {}), key=lambda name: (RANK[name], name))
        lines.append(f"{folder} -> {' '.join(imported) or '(none)'}")
    return "\n".join(lines)


def test_the_design_page_draws_the_imports() -> None:
    page = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"<!-- imports -->\n```\n(.*?)\n```\n", page, re.DOTALL)
    assert drawn == picture(), f"write this into docs/design.md:\n{picture()}"


if __name__ == "__main__":
    print(picture())
