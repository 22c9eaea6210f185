"""Which files of the package a stage runs: derived from its imports, not remembered.

A module reaches what it imports, inside functions too, every ``__init__.py`` on the way, the modules that it
names in a string (``python -m package.module``) and the data files of its folder that it names in a string
(templates, tables). What a stage's ``run`` reaches is written to data/code, see code_digests.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from gotowce_dagster.core.errors import InputError

PACKAGE = "gotowce_dagster"
STAGES = f"{PACKAGE}.stages"
"""Where the module of each stage lies."""

EXEMPT: Mapping[str, str] = {
    f"{PACKAGE}": "offers names to notebooks; a stage takes nothing from it",
    f"{PACKAGE}.core.errors": "the classes of errors, without code; where one is raised is watched",
    f"{PACKAGE}.core.extras": "whether optional packages are installed: a stage without one stops",
    f"{PACKAGE}.core.progress": "progress callbacks: they count what is done and change nothing of it",
    f"{PACKAGE}.config.params": "types of params.yaml, without defaults; dvc.yaml names its sections",
    f"{PACKAGE}.config.paths": "names the files of a project; dvc.yaml names each as dependency or output",
    f"{PACKAGE}.config.project": "reads params.yaml, videos.yaml, engines.yaml; dvc.yaml names their parts",
}
"""Modules that are neither listed nor followed, each with the reason."""


@dataclass(frozen=True)
class CodeGraph:
    """The imports inside the package below a project's root."""

    root: Path
    exempt: Mapping[str, str]
    _read: dict[Path, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict, repr=False)

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Every module and package by its dotted name, as paths below the root."""
        found = {}
        for file in sorted((self.root / PACKAGE).rglob("*.py")):
            path = file.relative_to(self.root)
            parts = path.with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def data(self) -> dict[Path, list[Path]]:
        """Files that are no Python, by folder, as paths below the root."""
        found = defaultdict(list)
        for file in sorted((self.root / PACKAGE).rglob("*")):
            if file.is_file() and file.suffix not in {".py", ".pyc"}:
                path = file.relative_to(self.root)
                found[path.parent].append(path)
        return found

    def reached(self, module: str) -> set[Path]:
        """The files that a module reaches, itself among them, as paths below the root.

        Raises:
            InputError: there is no such module, or one of them is not valid Python.
        """
        if module not in self.modules:
            raise InputError(f"{PACKAGE}: has no module {module}")
        seen: set[str] = set()
        files: set[Path] = set()
        ahead = [*_with_parents(module)]
        while ahead:
            name = ahead.pop()
            if name in seen or name in self.exempt:
                continue
            seen.add(name)
            path = self.modules[name]
            imported, texts = self._named_in(path)
            files |= {path, *(data for data in self.data.get(path.parent, ()) if data.name in texts)}
            ahead += [
                part for name in imported | texts if name in self.modules for part in _with_parents(name)
            ]
        return files

    def _named_in(self, path: Path) -> tuple[frozenset[str], frozenset[str]]:
        """What a module imports, and its texts."""
        if path not in self._read:
            try:
                self._read[path] = _named((self.root / path).read_text(encoding="utf-8"))
            except SyntaxError as error:
                raise InputError(
                    f"{path}: line {error.lineno}: {error.msg}; mend it and try again"
                ) from error
        return self._read[path]


@lru_cache(maxsize=1000)
def _named(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a module's source imports, and its texts; kept by content, which projects of one version share."""
    tree = ast.parse(source)
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(_imported(tree)), frozenset(value for value in constants if isinstance(value, str))


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _imported(tree: ast.Module) -> Iterator[str]:
    """The dotted names that a module imports, perhaps names inside modules; not those for type checkers."""
    for node in _run_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            ahead += node.orelse
            continue
        yield node
        ahead += ast.iter_child_nodes(node)
