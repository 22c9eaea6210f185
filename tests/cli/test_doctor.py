import json

import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.diagnosis import checks
from gotowce_dagster.diagnosis.finding import Finding, Level
from tests.cli.running import run

ADDRESS = "curl -fL -o /folder/of/weights.pt https://example.test/a/rather/long/address/of/weights.pt"
FINDINGS = [
    Finding("device", True, "CPU"),
    Finding("label studio", False, "does not run"),
    Finding("engine", True, "another", ADDRESS, Level.HINT),
    Finding("videos", False, "none", "gotowce sync", Level.WRONG),
]


@pytest.mark.integration
def test_doctor_speaks_json(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "doctor", "--json") == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {"device", "video codecs", "masks: grabcut", "yolo26n.pt", "label studio", "disk"} <= set(findings)
    assert findings["masks: grabcut"]["ok"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("findings", "words", "lines"),
    [
        (
            FINDINGS,
            [],
            [
                "Problems",
                "  videos: none",
                "    -> gotowce sync",
                "Suggestions",
                "  engine: another",
                f"    -> {ADDRESS}",
                "2 more checks passed: gotowce doctor --all",
            ],
        ),
        (FINDINGS[:1], [], ["No problems found. 1 more checks passed: gotowce doctor --all"]),
        (
            FINDINGS[:2],
            ["--all"],
            ["No action needed", "  yes  device: CPU", "  no   label studio: does not run"],
        ),
    ],
    ids=["what is wrong comes first, uncut", "nothing", "all"],
)
def test_doctor_shows_what_to_do(
    clone: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    findings: list[Finding],
    words: list[str],
    lines: list[str],
) -> None:
    monkeypatch.setattr(checks, "diagnose", lambda project, hours: findings)
    monkeypatch.setenv("COLUMNS", "40")
    assert run(monkeypatch, "doctor", *words) == 0
    assert capsys.readouterr().out.splitlines() == lines
