"""The shipped settings of a cluster fit each other, and hold no password."""

import re
from pathlib import Path

import pytest
import yaml
from dagster._core.instance import InstanceRef
from dagster._core.launcher import RunLauncher

from gotowce_dagster.cluster.launcher import SliceRunLauncher
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))
OF_MACHINE = {"DAGSTER_HOME"}


def variables(settings: object) -> set[str]:
    """The variables of the environment that settings of Dagster refer to."""
    if not isinstance(settings, dict):
        return set()
    own = {settings["env"]} if isinstance(settings.get("env"), str) else set()
    return own.union(*map(variables, settings.values()))


def test_every_file_gives_the_variables_that_dagster_needs() -> None:
    needed = variables(SETTINGS) - OF_MACHINE
    assert needed == {"GOTOWCE_POSTGRES_URL", "GOTOWCE_RAY_ADDRESS"}
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("head", "node", "driver", "web"):
        assert needed <= set(services[name]["environment"]), name
    yaml.safe_load((DEPLOY / "values.yaml").read_text(encoding="utf-8"))
    for file in (DEPLOY / "values.yaml", ROOT / "docs" / "cluster.md"):
        assert needed <= set(re.findall(r"[A-Z_]{6,}", file.read_text(encoding="utf-8"))), file


def test_no_file_has_a_password() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    given = re.findall(r"^\s*\w*(?:PASSWORD|SECRET_ACCESS_KEY|TOKEN): (.*)$", text, re.MULTILINE)
    assert given
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?\}", value) for value in given)


def test_dagster_accepts_them_and_keeps_references_instead_of_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("GOTOWCE_POSTGRES_URL", "postgresql+psycopg2://dagster:swordfish@nowhere/dagster")
    monkeypatch.setenv("GOTOWCE_RAY_ADDRESS", "http://head:8265")
    (tmp_path / "dagster.yaml").write_bytes((DEPLOY / "dagster.yaml").read_bytes())
    ref = InstanceRef.from_dir(str(tmp_path))
    assert ref.run_launcher_data is not None
    launcher = ref.run_launcher_data.rehydrate(as_type=RunLauncher)
    assert isinstance(launcher, SliceRunLauncher)
    assert (launcher.address, launcher.num_cpus, launcher.num_gpus) == ("http://head:8265", 1, 1)
    assert not launcher.supports_resume_run
    assert "swordfish" not in str(ref), "it is a part of what Ray stores of each run"
