from pathlib import Path

import pytest
import yaml

from gotowce_dagster.config import engines
from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.engines import (
    choose,
    choose_newly_used,
    engines_of,
    every_engine,
    first_of,
    precision,
    preferences,
    unknown,
    weights_of,
    write_engines,
)
from gotowce_dagster.config.params import Params, read_params
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.propagation.registry import PROPAGATORS
from gotowce_dagster.segmenters.registry import SEGMENTERS
from tests.conftest import ROOT

MASKS = ["sam2:a.pt", "mobile_sam:b.pt", "grabcut"]


@pytest.fixture
def params() -> Params:
    whole = read_params(ROOT / "params.yaml")
    masks = whole.masks.model_copy(update={"segmenter": MASKS})
    training = whole.finetuned_model.model_copy(update={"weights": ["n.pt", "n.yaml"]})
    return whole.model_copy(update={"masks": masks, "finetuned_model": training})


@pytest.mark.parametrize(
    ("here", "kept", "expected"),
    [
        ({"sam2:a.pt", "mobile_sam:b.pt", "grabcut"}, {}, "sam2:a.pt"),
        ({"grabcut"}, {}, "grabcut"),
        ({"sam2:a.pt", "grabcut"}, {"masks": "grabcut"}, "grabcut"),
        ({"grabcut"}, {"masks": "mobile_sam:b.pt"}, "mobile_sam:b.pt"),
        ({"grabcut"}, {"masks": "struck from the list"}, "grabcut"),
    ],
    ids=[
        "best first",
        "only the last runs",
        "a choice is kept",
        "kept even if it cannot run now",
        "no longer listed",
    ],
)
def test_choose_keeps_or_selects_the_first_usable_engine(
    params: Params, here: set[str], kept: dict, expected: str
) -> None:
    chosen = choose(params, kept, lambda e: None if e in here | {"n.yaml"} else "missing")
    assert chosen == {"masks": expected, "propagation": "unused", "finetuned_model": "n.yaml"}


def test_error_gives_the_reason_for_each_engine(params: Params) -> None:
    with pytest.raises(
        MissingWeightsError, match=r"masks: .*sam2:a.pt: gone; mobile_sam:b.pt: gone; grabcut: gone"
    ):
        choose(params, {}, lambda _: "gone")


@pytest.mark.parametrize(
    ("stage", "propagation", "expected"),
    [
        pytest.param("masks", "sam2:v.pt", {"masks": "grabcut", "propagation": "sam2:v.pt"}, id="both"),
        pytest.param("masks", "unused", {"masks": "grabcut"}, id="no propagation"),
        pytest.param("finetuned_model", "sam2:v.pt", {"finetuned_model": "n.pt"}, id="another stage"),
        pytest.param("cleaned_labels", "sam2:v.pt", {}, id="no choice"),
    ],
)
def test_engines_of_a_stage(stage: str, propagation: str, expected: dict[str, str]) -> None:
    chosen = {"masks": "grabcut", "propagation": propagation, "finetuned_model": "n.pt"}
    assert engines_of(stage, chosen) == expected


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("sam2:x.pt", "x.pt"),
        ("edgetam:EdgeTAM-hf", "EdgeTAM-hf"),
        ("sam2:whatever", "whatever"),
        ("yolo26n.pt", "yolo26n.pt"),
        ("yolo26n.yaml", None),
        ("grabcut", None),
    ],
)
def test_weights_of_an_engine(engine: str, expected: str | None) -> None:
    assert weights_of(engine) == expected


@pytest.mark.parametrize(
    ("stage", "engine", "message"),
    [
        pytest.param(
            "masks", "sam3:x.pt", "no engine 'sam3'; known: sam2, edgetam, mobile_sam, grabcut", id="new"
        ),
        pytest.param("masks", "sam2_image_track:x.pt", "no engine 'sam2_image_track'", id="of another stage"),
        pytest.param(
            "propagation", "grabcut", "known: sam2, edgetam, sam3, sam2_image_track", id="images only"
        ),
    ],
)
def test_unknown_engine_is_refused(stage: str, engine: str, message: str) -> None:
    assert message in (unknown(stage, engine) or "")
    with pytest.raises(InputError, match=message):
        first_of({stage: [engine, "sam2:a.pt"]}, lambda _: None)


@pytest.mark.parametrize(
    ("stage", "engine"), [("masks", "grabcut"), ("propagation", "unused"), ("finetuned_model", "n.pt")]
)
def test_known_engines_are_accepted(stage: str, engine: str) -> None:
    assert unknown(stage, engine) is None


def test_every_registered_engine_is_listed(params: Params) -> None:
    known = every_engine(params)
    assert known["masks"][:3] == MASKS
    assert {EngineSpec.parse(engine).name for engine in known["masks"]} == set(SEGMENTERS)
    assert {EngineSpec.parse(engine).name for engine in known["propagation"]} == set(PROPAGATORS)


@pytest.mark.parametrize(
    ("engine", "is_half", "expected"),
    [
        pytest.param("sam2:a.pt", True, "bfloat16", id="device with bfloat16"),
        pytest.param("sam2:a.pt", False, "float32", id="device without bfloat16"),
        pytest.param("sam2_image_track:mobile_sam.pt", True, "float32", id="float32-only model"),
    ],
)
def test_precision(monkeypatch: pytest.MonkeyPatch, engine: str, is_half: bool, expected: str) -> None:
    monkeypatch.setattr(engines, "half_precision", lambda device: is_half)
    assert precision(engine, "cpu") == expected


def test_file_is_kept_until_refresh(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.pt").touch()
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    path = tmp_path / "engines.yaml"
    assert write_engines(path, params)["masks"] == "mobile_sam:b.pt"
    (tmp_path / "a.pt").touch()
    assert write_engines(path, params)["masks"] == "mobile_sam:b.pt"
    assert write_engines(path, params, refresh=True)["masks"] == "sam2:a.pt"
    written = {"masks": "sam2:a.pt", "propagation": "unused", "finetuned_model": "n.yaml"}
    assert yaml.safe_load(path.read_text()) == written


def test_a_part_that_params_begins_to_use_gets_an_engine_without_sync(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.pt", "c.pt"):
        (tmp_path / name).touch()
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    path = tmp_path / "engines.yaml"
    write_engines(path, params)
    (tmp_path / "a.pt").touch()
    written = path.read_bytes()
    choose_newly_used(path, params)
    assert path.read_bytes() == written, "no part was newly used"
    propagation = params.masks.propagation.model_copy(update={"engine": ["sam2_image_track:c.pt"]})
    masks = params.masks.model_copy(update={"mode": "video", "propagation": propagation})
    choose_newly_used(path, params.model_copy(update={"masks": masks}))
    chosen = yaml.safe_load(path.read_text())
    assert chosen["propagation"] == "sam2_image_track:c.pt"
    assert chosen["masks"] == "mobile_sam:b.pt", "earlier choices stay"


def test_the_registries_build_the_engines_that_params_may_name() -> None:
    assert list(SEGMENTERS) == list(engines.ENGINES["masks"])
    assert list(PROPAGATORS) == list(engines.ENGINES["propagation"])


@pytest.mark.parametrize(
    ("engine", "weights", "expected"),
    [
        ("yolo", ["yolo26n.pt", "yolo26n.yaml"], ["yolo26n.pt", "yolo26n.yaml"]),
        ("dfine", ["a/b", "c"], ["dfine:a/b", "dfine:c"]),
    ],
)
def test_the_training_engine_is_part_of_its_choices(
    engine: str, weights: list[str], expected: list[str]
) -> None:
    whole = read_params(ROOT / "params.yaml")
    training = whole.finetuned_model.model_copy(update={"engine": engine, "weights": weights})
    assert preferences(whole.model_copy(update={"finetuned_model": training}))["finetuned_model"] == expected
