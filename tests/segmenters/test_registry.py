from pathlib import Path

import pytest

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.segmenters.registry import SEGMENTERS, build_segmenter, forget_models
from gotowce_dagster.segmenters.sam2 import Sam2
from tests.shipped import masks_params, params


def test_grabcut_needs_no_weights() -> None:
    built = build_segmenter("grabcut", masks_params())
    assert (built.name, built.weights, built.device) == ("grabcut", "", "cpu")


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("sam9:x.pt", "no segmenter named 'sam9'; known: sam2, edgetam, mobile_sam, grabcut"),
        ("grabcut:x.pt", "grabcut needs no weights"),
        ("sam2:yolo26n.pt", "no configuration for weights 'yolo26n.pt'"),
        ("sam2", "no configuration for weights ''"),
    ],
)
def test_invalid_engines_are_refused(engine: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_segmenter(engine, masks_params())


def test_missing_weights_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # A size that no other test uses, so that no cached predictor is used.
    with pytest.raises(MissingWeightsError, match=r"sam2_hiera_tiny_image\.pt: not in"):
        build_segmenter("sam2:sam2_hiera_tiny_image.pt", masks_params(input_px=128))


def test_every_engine_of_params_has_a_segmenter() -> None:
    assert {EngineSpec.parse(engine).name for engine in params().masks.segmenter} <= set(SEGMENTERS)


@pytest.mark.weights
def test_a_forgotten_model_is_loaded_again() -> None:
    engine = "sam2:sam2_hiera_tiny_image.pt"
    first = build_segmenter(engine, masks_params(input_px=224))
    assert isinstance(first, Sam2)
    again = build_segmenter(engine, masks_params(input_px=224))
    assert isinstance(again, Sam2)
    assert again._predictor is first._predictor
    forget_models()
    later = build_segmenter(engine, masks_params(input_px=224))
    assert isinstance(later, Sam2)
    assert later._predictor is not first._predictor
