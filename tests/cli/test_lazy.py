"""Commands are listed without being imported, and a command imports only what it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gotowce_dagster import cli
from gotowce_dagster.cli import main, review
from gotowce_dagster.cli.lazy import LazyCommand

GROUPS = {cli.__name__: main.VERBS, review.__name__: review.VERBS}
COMMANDS = [(package, verb) for package, verbs in GROUPS.items() for verb in verbs]
SHARED = {
    cli.__name__: {"arguments", "console", "demonstration", "lazy", "main", "options"},
    review.__name__: {"interrupt", "options", "result"},
}
"""Modules that are no command."""
HEAVY = {"dagster", "dvc", "pandas", "numpy", "cv2", "av", "supervision", "torch", "httpx", "yaml", "ruamel"}


def imported_by(*words: str) -> set[str]:
    """The modules that a process of the command line has imported when it ends."""
    code = (
        "import json, sys\n"
        "from gotowce_dagster.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print(json.dumps(list(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    return set(json.loads(done.stderr))


@pytest.mark.parametrize(("package", "verb"), COMMANDS)
def test_the_listed_help_is_the_command_s_own(package: str, verb: str) -> None:
    listed = LazyCommand(package, verb)
    command = listed.load()
    assert listed.help
    assert command.name == verb
    # typer shows the first paragraph in a list, of either
    assert command.help.split("\n\n")[0] == listed.help.split("\n\n")[0]


@pytest.mark.parametrize("package", GROUPS)
def test_every_module_is_a_command_or_shared(package: str) -> None:
    folder = Path(sys.modules[package].__path__[0])
    modules = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    commands = {verb.replace("-", "_") for verb in GROUPS[package]}
    assert modules - {"__init__"} == commands | SHARED[package]


@pytest.mark.integration
@pytest.mark.parametrize("words", [["--help"], ["review", "--help"]], ids=" ".join)
def test_help_of_a_group_imports_no_command(words: list[str]) -> None:
    imported = imported_by(*words)
    modules = {f"{package}.{verb.replace('-', '_')}" for package, verb in COMMANDS}
    assert imported & modules <= {review.__name__}
    assert not imported & HEAVY


@pytest.mark.integration
@pytest.mark.parametrize("verb", [verb for verb in main.VERBS if verb != "review"])
def test_help_of_a_command_imports_that_one_alone(verb: str) -> None:
    imported = imported_by(verb, "--help")
    commands = {f"{cli.__name__}.{name.replace('-', '_')}" for name in main.VERBS}
    assert imported & commands == {f"{cli.__name__}.{verb.replace('-', '_')}"}
    assert not imported & HEAVY
