"""Groups of commands that are imported only when they are run.

`gotowce --help` shows the help of every command and needs none of their libraries, so the help comes from the
commands' source. The command ``push-video`` is the function of the module ``push_video``; a group is the
application of a package.
"""

import ast
import pkgutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


def lazy_group(package: str, verbs: Iterable[str]) -> type[TyperGroup]:
    """Make the class of a group whose commands are modules of a package.

    Args:
        package: The package's full name.
        verbs: Names of the commands, in the order of the help.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands.update({verb: LazyCommand(package, verb) for verb in verbs})

    return LazyGroup


class LazyCommand(TyperCommand):
    """Stands for a command in its group; only the name and the help are known before it is run."""

    def __init__(self, package: str, verb: str) -> None:
        self._function = verb.replace("-", "_")
        self._module = f"{package}.{self._function}"
        super().__init__(verb, help=_help(self._module, self._function))

    def load(self) -> Any:
        """Import the command's module; returns the command itself."""
        target = pkgutil.resolve_name(f"{self._module}:{self._function}")
        if isinstance(target, typer.Typer):
            return get_command(target)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(target)
        return get_command(alone)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, which the group then runs."""
        return self.load().make_context(info_name, args, parent, **extra)


def _help(module: str, function: str) -> str:
    """The docstring of a module's function, or of the module without such a function; nothing is run."""
    spec = find_spec(module)
    assert spec and spec.origin, f"{module} is part of this package"
    tree = ast.parse(Path(spec.origin).read_bytes())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    described = next((node for node in functions if node.name == function), tree)
    return ast.get_docstring(described) or ""
