"""Contenders by name, and the reasons why some cannot run."""

import pytest

from gotowce_dagster.comparison.contenders import Contender, detectors, segmenter
from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.config.params import read_params
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors import registry
from tests.conftest import ROOT

PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("gotowce_dagster.core.weights.folders", lambda: [tmp_path])
    monkeypatch.setattr("gotowce_dagster.core.weights.reachable", lambda name: False)


def named(*names: str, send: bool = False) -> list[Contender]:
    known = PARAMS.detector_comparison.detectors
    return detectors(names, known, PARAMS.detector_comparison, send)


def test_all_has_every_known_detector_and_every_other_kind() -> None:
    contenders_by_name = {contender.name: contender for contender in named("all")}
    known = PARAMS.detector_comparison.detectors
    kinds = set(registry.KINDS) - {settings.kind for settings in known.values()}
    assert set(contenders_by_name) == {*known, *kinds}
    assert contenders_by_name["bracket"].obstacle is None
    assert contenders_by_name["bracket"].by_profile
    assert "yolo26n.pt" in (contenders_by_name["yolo26n"].obstacle or "")
    for name in ("yolo_world", "zero_shot", "kosmos2"):
        assert "GOTOWCE_WEIGHTS_DIR" in (contenders_by_name[name].obstacle or "")
    assert "params.yaml" in (contenders_by_name["hosted"].obstacle or "")


@pytest.mark.parametrize(
    ("name", "against", "setting"),
    [
        ("bracket", "designator", ("kind", "bracket")),
        ("yolo:mine.pt", "object", ("weights", "mine.pt")),
        ("zero_shot", "designator", ("kind", "zero_shot")),
    ],
)
def test_one_by_name(name: str, against: str, setting: tuple[str, str]) -> None:
    (contenders_by_name,) = named(name)
    assert (contenders_by_name.name, contenders_by_name.against) == (name, against)
    assert contenders_by_name.settings[setting[0]] == setting[1]


@pytest.mark.parametrize("name", ["nobody", "hosted", "hosted:x", "nobody:x.pt"])
def test_an_incomplete_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=name.partition(":")[0]):
        named(name)


@pytest.mark.parametrize("send", [False, True])
def test_nothing_is_sent_without_permission(send: bool) -> None:
    known = {"claude": HostedSettings(provider="anthropic", model="claude-x")}
    (contenders_by_name,) = detectors(["claude"], known, PARAMS.detector_comparison, send)
    assert contenders_by_name.settings["send"] is send


def test_segmenters() -> None:
    assert segmenter("grabcut", PARAMS.masks).obstacle is None
    assert "mobile_sam.pt" in (segmenter("mobile_sam:mobile_sam.pt", PARAMS.masks).obstacle or "")
