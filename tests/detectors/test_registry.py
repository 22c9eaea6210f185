import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from gotowce_dagster.config.detector_settings import KINDS, BracketSettings, DetectorSettings, YoloSettings
from gotowce_dagster.config.params import DetectionsParams
from gotowce_dagster.core import trust
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.obstacles import obstacle
from gotowce_dagster.detectors.registry import build_detector, build_detectors, settings_of
from tests.detectors import standins

NONE = Profile(name="none")
HOSTED = {"kind": "hosted", "provider": "openai", "model": "m"}
LOCAL = ("bracket", "yolo", "yolo_world", "zero_shot", "kosmos2", "moondream")


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No weights, and hubs that do not respond."""
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("gotowce_dagster.core.weights.reachable", lambda name: False)
    return tmp_path / "mine"


def test_a_name_of_params_yaml_or_a_kind() -> None:
    mine = YoloSettings(weights="mine.pt")
    assert settings_of("ours", {"ours": mine}) is mine
    assert settings_of("yolo", {"yolo": mine}) is mine
    assert settings_of("yolo", {}) == YoloSettings()
    assert set(LOCAL) <= set(KINDS)


def test_a_kind_without_defaults_names_the_missing_settings() -> None:
    with pytest.raises(
        InputError, match=r"hosted has no default for provider, model; add such a detector to params"
    ):
        settings_of("hosted", {})


def test_detectors_keep_the_names_of_params_yaml(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(standins.yolo, "small.pt", "yolo11n.yaml", ["ship", "drone"])
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder))
    known = {"marks": BracketSettings(), "round_one": YoloSettings(weights="small.pt")}
    built = build_detectors(known, NONE)
    assert [(d.name, d.weights) for d in built] == [("marks", ()), ("round_one", ("small.pt",))]


@pytest.mark.parametrize("kind", [kind for kind in LOCAL if kind != "bracket"])
def test_what_is_missing_and_how_to_get_it(kind: str, nothing_here: Path) -> None:
    settings = TypeAdapter(DetectorSettings).validate_python(
        {"kind": kind} | ({"trust_remote_code": True} if kind == "moondream" else {})
    )
    reason = obstacle(settings)
    assert reason is not None
    assert all(name in reason for name in settings.needs)
    assert str(nothing_here) in reason
    assert "GOTOWCE_WEIGHTS_DIR" in reason


def test_nothing_is_missing(nothing_here: Path, vouching: Path) -> None:
    assert obstacle(BracketSettings()) is None
    nothing_here.mkdir()
    (nothing_here / "small.pt").touch()
    assert "gotowce trust" in (obstacle(YoloSettings(weights="small.pt")) or "")
    trust.add(nothing_here / "small.pt", vouching)
    assert obstacle(YoloSettings(weights="small.pt")) is None


def test_code_must_be_allowed_first(nothing_here: Path) -> None:
    reason = obstacle(settings_of("moondream", {}))
    assert reason is not None
    assert "trust_remote_code: true" in reason


def test_what_a_crop_looks_around_may_be_missing(nothing_here: Path) -> None:
    given = {"kind": "bracket", "input": {"crop": {"around": {"kind": "yolo", "weights": "mine.pt"}}}}
    settings = TypeAdapter(DetectorSettings).validate_python(given)
    reason = obstacle(settings)
    assert reason is not None
    assert reason.startswith("yolo, the detector of its crops: mine.pt not in")
    with pytest.raises(MissingWeightsError, match=r"mine\.pt"):
        build_detector("b", settings, NONE)


def test_the_examples_of_the_manual_are_right() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text()
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", manual, re.MULTILINE)]
    stage, *others = (yaml.safe_load(block) for block in blocks)
    for known in (stage["designator_detections"]["detectors"], *others):
        assert TypeAdapter(dict[str, DetectorSettings]).validate_python(known)
    assert others
    section = stage["designator_detections"] | {"max_per_frame": 4, "consensus": None}
    assert DetectionsParams.model_validate(section), "nothing that the stage refuses"
    assert all(f"| `{kind}` |" in manual for kind in KINDS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "magic"}, "does not match any of the expected tags"),
        ({"kind": "yolo", "promts": {}}, "promts"),
        ({"kind": "yolo_world", "prompts": {"target": []}}, "prompts"),
        ({"kind": "yolo", "min_confidence": 1.5}, "min_confidence"),
        ({"kind": "bracket", "prompts": {"a": ["b"]}}, "prompts"),
        ({"kind": "yolo", "input": {"tiles": {"side": 8}}}, "side"),
    ],
    ids=["kind", "typing error", "no phrases", "range", "of another kind", "inside"],
)
def test_settings_are_checked(given: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DetectorSettings).validate_python(given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "yolo", "weights": "../evil.pt"}, "begins with a dot"),
        ({"kind": "yolo", "weights": "/models/../evil.pt"}, "begins with a dot"),
        ({"kind": "zero_shot", "weights": "IDEA-Research/../../evil"}, "begins with a dot"),
        ({"kind": "yolo_world", "text_encoder": "../evil"}, "begins with a dot"),
        (HOSTED | {"prices": "../prices.toml"}, "begins with a dot"),
        (HOSTED | {"budget": float("inf")}, "finite"),
        ({"kind": "bracket", "min_confidence": float("nan")}, "finite"),
        ({"kind": "yolo", "prompts": {"": ["boat"]}}, "readable on one line"),
        ({"kind": "yolo", "prompts": {"a\nb": ["boat"]}}, "readable on one line"),
    ],
    ids=[
        "weights above", "absolute weights above", "hub name above", "encoder above", "prices above",
        "endless budget", "confidence nan", "empty class", "class of two lines",
    ],
)  # fmt: skip
def test_settings_that_lead_out_or_are_no_numbers_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DetectorSettings).validate_python(settings)


def test_weights_may_lie_anywhere_on_this_machine() -> None:
    assert YoloSettings(weights="/models/mine.pt").weights == "/models/mine.pt"
