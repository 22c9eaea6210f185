"""Commands are listed without being imported, and a command imports only what it needs."""

import json
import subprocess
import sys
from functools import cache
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


HELPS = [("--help",), ("review", "--help"), *((verb, "--help") for verb in main.VERBS if verb != "review")]
RUN_EACH = """
import contextlib, io, json, os, sys
from gotowce_dagster.cli.main import main
for words in json.loads(sys.argv[1]):
    result, end = os.pipe()
    if os.fork():
        os.close(end)
        print(open(result).read())
        continue
    sys.argv, code = ["gotowce", *words], 0
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main()
        except SystemExit as exit:
            code = exit.code
    with open(end, "w") as file:
        json.dump([code, out.getvalue(), list(sys.modules)], file)
    os._exit(0)
"""
"""Each in a process of its own, forked from one that has imported what every command does."""


@cache
def imported() -> dict[tuple[str, ...], set[str]]:
    """The modules that a process of the command line has imported when it ends, by what was asked of it."""
    command = [sys.executable, "-c", RUN_EACH, json.dumps(HELPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = {}
    for words, line in zip(HELPS, done.stdout.splitlines(), strict=True):
        code, output, names = json.loads(line)
        assert code == 0, output
        assert "Usage: " in output
        modules[words] = set(names)
    return modules


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
@pytest.mark.parametrize("words", HELPS[:2], ids=" ".join)
def test_help_of_a_group_imports_no_command(words: tuple[str, ...]) -> None:
    names = imported()[words]
    modules = {f"{package}.{verb.replace('-', '_')}" for package, verb in COMMANDS}
    assert names & modules <= {review.__name__}
    assert not names & HEAVY


@pytest.mark.integration
@pytest.mark.parametrize("verb", [verb for verb in main.VERBS if verb != "review"])
def test_help_of_a_command_imports_that_one_alone(verb: str) -> None:
    names = imported()[verb, "--help"]
    commands = {f"{cli.__name__}.{name.replace('-', '_')}" for name in main.VERBS}
    assert names & commands == {f"{cli.__name__}.{verb.replace('-', '_')}"}
    assert not names & HEAVY
