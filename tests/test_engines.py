from pathlib import Path

import pytest
import yaml

from gotowce_dagster.engines import choose, engines_of, weights_of, write_engines
from gotowce_dagster.errors import MissingWeightsError
from gotowce_dagster.params import Params, read_params
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
def test_choice(params: Params, here: set[str], kept: dict, expected: str) -> None:
    chosen = choose(params, kept, lambda e: None if e in here | {"n.yaml"} else "missing")
    assert chosen == {"masks": expected, "propagation": "unused", "finetuned_model": "n.yaml"}


def test_no_engine_at_all_says_why_for_each(params: Params) -> None:
    with pytest.raises(
        MissingWeightsError, match=r"masks: .*sam2:a.pt: gone; mobile_sam:b.pt: gone; grabcut: gone"
    ):
        choose(params, {}, lambda _: "gone")


@pytest.mark.parametrize(
    ("stage", "propagation", "expected"),
    [
        pytest.param("masks", "sam2:v.pt", {"masks": "grabcut", "propagation": "sam2:v.pt"}, id="both"),
        pytest.param("masks", "unused", {"masks": "grabcut"}, id="nothing is carried"),
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
        ("yolo26n.pt", "yolo26n.pt"),
        ("yolo26n.yaml", None),
        ("grabcut", None),
    ],
)
def test_weights_of_an_engine(engine: str, expected: str | None) -> None:
    assert weights_of(engine) == expected


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
