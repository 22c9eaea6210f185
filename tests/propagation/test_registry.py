from pathlib import Path

import pytest

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.params import read_params
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.propagation.registry import PROPAGATORS, build_propagator
from tests.conftest import ROOT

PARAMS = read_params(ROOT / "params.yaml").masks


def test_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(
        InputError, match=r"no propagator named 'sam9'; known: sam2, edgetam, sam3, sam2_image_track"
    ):
        build_propagator("sam9:x.pt", PARAMS)


@pytest.mark.parametrize(
    "engine", ["sam2:sam2_hiera_tiny_image.pt", "sam2_image_track:sam2_hiera_tiny_image.pt"]
)
def test_error_for_missing_weights_names_the_searched_folders(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # A size that no other test asks for: a model that is in memory needs no file.
    propagation = PARAMS.propagation.model_copy(update={"input_px": 416, "track_px": 416})
    with pytest.raises(MissingWeightsError, match=r"sam2_hiera_tiny_image\.pt: not in"):
        build_propagator(engine, PARAMS.model_copy(update={"propagation": propagation, "input_px": 416}))


def test_every_engine_in_params_is_registered() -> None:
    assert {EngineSpec.parse(engine).name for engine in PARAMS.propagation.engine} <= PROPAGATORS.keys()
