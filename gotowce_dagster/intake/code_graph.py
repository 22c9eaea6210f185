"""Which files of the package a stage runs: derived from its imports, not remembered.

A module reaches what it imports, inside functions too, every ``__init__.py`` on the way, the modules that it
names in a string (``python -m package.module``) and the data files of its folder that it names in a string
(templates, tables). dvc.yaml, and the template of the videos' pipelines, list exactly what a stage's ``run``
reaches; ``gotowce sync --code`` writes it.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from gotowce_dagster.config.params import read_yaml
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.intake.pipelines import copy_template

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
            tree = self._parsed(path)
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            files |= {path, *(data for data in self.data.get(path.parent, ()) if data.name in texts)}
            named = [*_imported(tree), *(text for text in texts if isinstance(text, str))]
            ahead += [part for text in named if text in self.modules for part in _with_parents(text)]
        return files

    def listed(self, module: str) -> list[str]:
        """What a module reaches as dvc.yaml names it: a whole folder where all its files are reached.

        Raises:
            InputError: as for ``reached``.
        """
        files = self.reached(module)
        whole = {folder for folder in self._folders if folder and self._folders[folder] <= files}
        names = set()
        for file in files:
            outermost = next((folder for folder in reversed(file.parents) if folder in whole), file)
            names.add(outermost.as_posix())
        return sorted(names)

    @cached_property
    def _folders(self) -> dict[Path, set[Path]]:
        """Every folder of the package, without the package itself, with all files below it."""
        files = [*self.modules.values(), *(path for paths in self.data.values() for path in paths)]
        folders = defaultdict(set)
        for file in files:
            for folder in file.parents:
                if len(folder.parts) > 1:
                    folders[folder].add(file)
        return folders

    def _parsed(self, path: Path) -> ast.Module:
        try:
            return ast.parse((self.root / path).read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise InputError(f"{path}: line {error.lineno}: {error.msg}; mend it and try again") from error


def sync_code(root: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Write into a project's pipelines what their stages run; comments and all else stay.

    Returns:
        Of each stage that changed, the files and folders that were added, and those that were removed.

    Raises:
        InputError: the project has no source code, a module is no valid Python, or a pipeline has another
            form.
    """
    if not (root / PACKAGE).is_dir():
        raise InputError(f"{root / PACKAGE}: not there; dvc.yaml can be written only beside the source code")
    graph, changed = CodeGraph(root, EXEMPT), {}
    for path in (Paths(root).template, root / "dvc.yaml", Paths(root).studies_pipeline):
        stages = {name: stage.get("do", stage) for name, stage in read_yaml(path)["stages"].items()}
        lists = {name: graph.listed(f"{STAGES}.{name}") for name in stages}
        text = path.read_text(encoding="utf-8")
        if (new := rewritten(text, lists)) != text:
            with fresh_file(path) as file:
                file.write_text(new, encoding="utf-8")
        for name, listed in lists.items():
            named = set(code_of(stages[name]["deps"]))
            if named != set(listed):
                changed[name] = (sorted(set(listed) - named), sorted(named - set(listed)))
    copy_template(Paths(root))
    return changed


def rewritten(text: str, lists: Mapping[str, Sequence[str]]) -> str:
    """dvc.yaml with other source files among the dependencies of its stages; all else stays, comments too.

    Args:
        lists: by stage, the files and folders of the package.

    Raises:
        InputError: a stage has no block of ``deps``, one a line.
    """
    lines: list[str] = []
    stage, is_deps, missing = "", False, set(lists)
    for line in text.splitlines():
        depth, word = len(line) - len(line.lstrip()), line.strip()
        if depth <= 2 and word and not word.startswith("#"):
            stage, is_deps = word.rstrip(":") if depth == 2 else "", False
        elif word == "deps:" and stage in lists:
            is_deps = True
            missing.discard(stage)
            lines += [line, *(f"{' ' * (depth + 2)}- {name}" for name in lists[stage])]
            continue
        elif not word.startswith(("- ", "#")):
            is_deps = False
        if not (is_deps and _is_code(word.removeprefix("- "))):
            lines.append(line)
    if missing:
        raise InputError(f"dvc.yaml: no `deps:` block, one a line, in {', '.join(sorted(missing))}; add it")
    return "".join(f"{line}\n" for line in lines)


def code_of(deps: Sequence[str]) -> list[str]:
    """Those of a stage's dependencies that are source files of the package."""
    return [dep for dep in deps if _is_code(dep)]


def _is_code(dep: str) -> bool:
    return PurePosixPath(dep).parts[:1] == (PACKAGE,)


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


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield other
                yield from _run_nodes(other)
            continue
        yield child
        yield from _run_nodes(child)
