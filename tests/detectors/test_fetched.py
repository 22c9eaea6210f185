"""Is what weights.py fetches of a folder enough to load it?"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from gotowce_dagster.core import hub_models
from gotowce_dagster.core.weights import WEIGHTS, find
from tests.detectors import standins


def _as_published(made: Path, folder: Path, files: Iterable[str]) -> None:
    """Copy these files of a folder, in the older layout that the published ones have."""
    from safetensors.torch import load_file

    if "pytorch_model.bin" in files:
        import torch

        torch.save(load_file(made / "model.safetensors"), made / "pytorch_model.bin")
    if (processor := made / "processor_config.json").exists():
        settings = json.loads(processor.read_text())
        images = settings.pop("image_processor") | {"processor_class": settings["processor_class"]}
        (made / "preprocessor_config.json").write_text(json.dumps(images))
    else:
        (made / "preprocessor_config.json").write_text("{}")
    names = json.loads((made / "tokenizer_config.json").read_text())
    special = {key: value for key, value in names.items() if key.endswith("_token")}
    (made / "special_tokens_map.json").write_text(json.dumps(special))
    folder.mkdir(parents=True)
    for file in files:
        shutil.copyfile(made / file, folder / file)


def _kosmos2(folder: Path) -> Path:
    return standins.kosmos2(folder, ["a"])


@pytest.mark.parametrize(
    ("name", "build", "model", "processor"),
    [
        (
            "openai/clip-vit-base-patch32",
            standins.clip_text,
            "CLIPTextModelWithProjection",
            "CLIPTokenizer",
        ),
        (
            "IDEA-Research/grounding-dino-tiny",
            standins.grounding_dino,
            "AutoModelForZeroShotObjectDetection",
            "AutoProcessor",
        ),
        (
            "google/owlv2-base-patch16-ensemble",
            standins.owl,
            "AutoModelForZeroShotObjectDetection",
            "AutoProcessor",
        ),
        (
            "microsoft/kosmos-2-patch14-224",
            _kosmos2,
            "Kosmos2ForConditionalGeneration",
            "AutoProcessor",
        ),
    ],
)
def test_the_files_of_a_folder_are_enough(
    name: str,
    build: Callable[[Path], Path],
    model: str,
    processor: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
) -> None:
    hub_models.keep_offline()
    # A stand-in is no published file: its digests are its own.
    own = replace(WEIGHTS[name], files=dict.fromkeys(WEIGHTS[name].files))
    monkeypatch.setitem(WEIGHTS, name, own)
    _as_published(build(tmp_path / "made"), tmp_path / "mine" / name, WEIGHTS[name].files)
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "mine"))
    assert find(name) == tmp_path / "mine" / name
    loaded, prepare = hub_models.load(model, processor, name, "cpu")
    assert not loaded.training
    tokenizer = getattr(prepare, "tokenizer", prepare)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("ship")["input_ids"])
    assert "ship" in "".join(pieces)
