"""`gotowce doctor`: what can run on this machine."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError

if TYPE_CHECKING:
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.diagnosis.finding import Finding


def doctor(
    every: Annotated[
        bool, typer.Option("--all", help="Show all checks, not only those that need action.")
    ] = False,
    hours: Annotated[
        float | None, typer.Option(min=0, help="Check whether this many hours of video fit on the disk.")
    ] = None,
    json: Json = False,
) -> None:
    """Check what can run on this machine; for everything else, show the reason and how to fix it."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.diagnosis.checks import diagnose
    from gotowce_dagster.diagnosis.finding import Level

    project = Project.find()
    findings = diagnose(project, hours) + _code(project)
    if json:
        console.show_json([asdict(finding) for finding in findings])
        return
    wrong = [finding for finding in findings if finding.level is Level.WRONG]
    hints = [finding for finding in findings if finding.level is Level.HINT]
    _show_to_do("Problems", "bold red", wrong)
    _show_to_do("Suggestions", "bold yellow", hints)
    rest = [finding for finding in findings if finding.level is Level.FINE]
    if not every:
        nothing = "" if wrong else "No problems found. "
        console.say(f"{nothing}{len(rest)} more checks passed: gotowce doctor --all")
        return
    console.say(console.bold("No action needed"))
    for finding in rest:
        mark = Text("yes  ", "green") if finding.ok else Text("no   ", "yellow")
        console.say("  ", mark, f"{finding.what}: {finding.result}")


def _code(project: "Project") -> "list[Finding]":
    """Check that stages would run the code that data/code lists; beside the source code a run lists it."""
    from gotowce_dagster.diagnosis.finding import Finding, Level
    from gotowce_dagster.intake import code_digests

    if code_digests.has_source(project.paths):
        return []
    try:
        code_digests.require(project.paths)
    except InputError as error:
        return [Finding("version", False, str(error), "gotowce upgrade --dry-run", Level.WRONG)]
    return [Finding("version", True, "that of the project: stages run the code that data/code lists")]


def _show_to_do(title: str, style: str, findings: Sequence["Finding"]) -> None:
    """Print two unwrapped lines per finding: the result, and the command or advice, ready to be copied."""
    if not findings:
        return
    console.say(Text(title, style))
    for finding in findings:
        console.say("  ", console.bold(finding.what), f": {finding.result}")
        if finding.do:
            console.say("    -> ", Text(finding.do, "cyan"))
