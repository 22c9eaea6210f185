"""Run the command line as it is typed."""

import sys

import pytest

from gotowce_dagster.cli import main as cli


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["gotowce", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
