"""`gotowce doctor`: what can run on this machine."""

from dataclasses import asdict

from rich.text import Text

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def doctor(json: Json = False) -> None:
    """Tell what can run on this machine, and for what cannot: why, and how to get it."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.diagnosis.checks import diagnose

    findings = list(diagnose(Project.find()))
    if json:
        console.show_json([asdict(finding) for finding in findings])
        return
    yes, no = Text("yes", "green"), Text("no", "red")
    rows = ([yes if f.ok else no, f.what, f.says] for f in findings)
    console.show_table("What can run here", ["", "what", "says"], rows)
