"""Each command that needs an optional dependency says which one, and ends with exit code 2."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml

from gotowce_dagster.assets.videos import designator_detections
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.extras import EXTRAS
from tests.cli.running import run
from tests.intake.test_videos import film

HOSTED = {"kind": "hosted", "provider": "openai", "model": "eye"}
MESSAGE = "needs the extra '{0}', which is not installed ({1}); run `pip install 'gotowce-dagster[{0}]'`"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the extras is installed."""
    for modules in EXTRAS.values():
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)


def message(extra: str) -> str:
    return MESSAGE.format(extra, ", ".join(EXTRAS[extra]))


def change(project: Project, section: str, **changes: object) -> None:
    params = yaml.safe_load(project.paths.params.read_text(encoding="utf-8"))
    params[section] |= changes
    project.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("review assist", "assist"),
        ("detect CLIP --profile data/profiles/naev.toml --frames 3 --out o.csv --detector eye", "hosted"),
        ("ask CLIP --detector moondream_server --frames 3", "hosted"),
        ("segment CLIP --points data/samples/naev_points.csv --engine edgetam:EdgeTAM-hf", "edgetam"),
    ],
    ids=lambda value: value.split()[0],
)
def test_a_command_refuses(clone: Project, refusal: Callable[..., str], words: str, extra: str) -> None:
    change(clone, "designator_detections", detectors={"eye": HOSTED})
    words = words.replace("CLIP", "data/samples/naev_hostile_sample.mp4")
    assert message(extra) in refusal(*words.split())


@pytest.mark.integration
def test_sync_names_detectors_that_cannot_run(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    change(clone, "designator_detections", detectors={"eye": HOSTED})
    assert run(monkeypatch, "sync", "--json") == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note == (f"params.yaml: designator_detections.detectors: eye (kind hosted) {message('hosted')}")


def test_only_engines_that_need_an_extra_are_an_error_of_input(
    clone: Project, refusal: Callable[..., str]
) -> None:
    change(clone, "masks", segmenter=["edgetam:EdgeTAM-hf"])
    reason = f"masks: none of its engines can run here: edgetam:EdgeTAM-hf: {message('edgetam')}"
    assert reason in refusal("sync")


@pytest.mark.integration
def test_a_stage_refuses_and_its_asset_fails(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "add", str(film(tmp_path / "duel.mp4"))) == 0
    assert run(monkeypatch, "stage", "extracted_frames", "duel") == 0
    change(clone, "designator_detections", detectors={"eye": HOSTED})
    assert run(monkeypatch, "stage", "designator_detections", "duel") == 2
    assert f"eye (kind hosted) {message('hosted')}" in capsys.readouterr().err
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("videos", ["duel"])
        result = dg.materialize(
            [designator_detections],
            instance=instance,
            partition_key="duel",
            resources={"progress": lambda context: lambda done, total: None},
            raise_on_error=False,
        )
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert error is not None
    assert error.message.strip().endswith(f"eye (kind hosted) {message('hosted')}")
