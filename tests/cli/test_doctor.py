import json

import pytest

from gotowce_dagster.config.project import Project
from tests.cli.running import run


@pytest.mark.integration
def test_doctor_speaks_json(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "doctor", "--json") == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {"device", "video codecs", "masks: grabcut", "yolo26n.pt", "label studio", "disk"} <= set(findings)
    assert findings["masks: grabcut"]["ok"]
