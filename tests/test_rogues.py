"""Every way into the package for a file of weights, tried with one that runs code: it never does."""

import ast
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gotowce_dagster.config.detector_settings import MoondreamSettings
from gotowce_dagster.core import hub_models, trust, weights
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.detectors.local.moondream import Moondream
from gotowce_dagster.detectors.local.yolo import load
from gotowce_dagster.evaluation.evaluate import fine_tuned
from gotowce_dagster.propagation.memory import Memory
from gotowce_dagster.propagation.streaming import Streaming
from gotowce_dagster.segmenters import edgetam_model, mobile_sam, sam2_model
from gotowce_dagster.stages import finetuned_model, yolo_dataset
from gotowce_dagster.training import finetune
from gotowce_dagster.training.engines.yolo import Yolo
from gotowce_dagster.training.model import load_model
from tests.detectors import standins
from tests.rogues import Rogue, Trap
from tests.shipped import masks_params
from tests.training.test_finetune import SMALL
from tests.worlds import make_world

pytestmark = pytest.mark.slow

PACKAGE = Path(trust.__file__).parents[1]


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "executed")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of weights; no digest is known, so that the loaders see what is in it."""
    for name, known in weights.WEIGHTS.items():
        without = replace(known, sha256=None, files=dict.fromkeys(known.files))
        monkeypatch.setitem(weights.WEIGHTS, name, without)
    (tmp_path / "params.yaml").touch()
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def test_the_trap_works(trap: Trap, tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Rogue(trap.marker)))
    assert trap.marker.exists()


FORMS = ["archive", "bare"]


@pytest.mark.parametrize("vouched", [False, True], ids=["unknown", "trusted"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["YOLO", "YOLOWorld", "YOLOE"])
def test_detectors_of_ultralytics(kind: str, form: str, vouched: bool, trap: Trap, mine: Path) -> None:
    file = getattr(trap, form)(mine / "best.pt")
    if vouched:
        trust.add(file, mine.parent)
    error, why = (MissingWeightsError, "damaged") if vouched else (InputError, "not trusted")
    with pytest.raises(error, match=why):
        load(kind, "best.pt")
    trap.assert_not_sprung()


@pytest.mark.parametrize("form", FORMS)
def test_the_fine_tuned_model(form: str, trap: Trap, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", {"a": ["hostile"]})
    file = getattr(trap, form)(world.paths.model / "best.pt")
    (world.paths.model / "args.yaml").write_text("imgsz: 64\n", encoding="utf-8")
    with pytest.raises(InputError, match="not trusted"):
        fine_tuned(world.paths)
    with pytest.raises(InputError, match="not a model of ultralytics"):
        load_model(file, 64)
    trap.assert_not_sprung()


@pytest.mark.parametrize("form", FORMS)
def test_training_from_and_keeping_a_checkpoint(form: str, trap: Trap, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", {"a": ["hostile"] * 30}, finetuned_model={**SMALL, "epochs": 1})
    yolo_dataset.run(world, silent)
    file = getattr(trap, form)(tmp_path / "start.pt")
    engines = yaml.safe_load(world.paths.engines.read_text(encoding="utf-8"))
    world.paths.engines.write_text(yaml.safe_dump(engines | {"finetuned_model": str(file)}), encoding="utf-8")
    with pytest.raises(InputError, match="not trusted"):
        finetuned_model.run(world, silent)
    trust.add(file, world.paths.root)
    with pytest.raises(InputError, match=r"start\.pt: not a checkpoint of ultralytics"):
        finetuned_model.run(world, silent)
    with pytest.raises(InputError, match="not a checkpoint of ultralytics"):
        Yolo().save(file, tmp_path / "kept.pt", {})
    work = tmp_path / "work"
    params = world.params.finetuned_model.model_copy(update={"epochs": 2})
    place = work / finetune.fingerprint(world.paths.dataset, "yolo26n.yaml", params)
    half = place / "epoch-00001"
    for name in ("last.pt", "best.pt"):
        getattr(trap, form)(half / name)
    (half / "history.csv").write_text("epoch,fitness\n1,0.1\n", encoding="utf-8")
    (half / "state.json").write_text(json.dumps({"epoch": 1, "stopped": False, "seconds": 1.0}))
    with pytest.raises(InputError, match=r"last\.pt: not a checkpoint of ultralytics"):
        finetune.finetune(
            world.paths.dataset,
            "yolo26n.yaml",
            params,
            work,
            progress=silent,
            on_epoch=lambda epoch, row: None,
        )
    trap.assert_not_sprung()


def test_a_model_whose_architecture_is_code(trap: Trap, mine: Path, tmp_path: Path) -> None:
    """ultralytics evaluates the activation of a model's own yaml when it trains on from it."""
    file = standins.yolo(mine / "start.pt", "yolo11n.yaml", ["hostile"])
    trust.restrict_unpickling()
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    content, _ = torch_safe_load(str(file), safe_only=True)
    content["model"].yaml["activation"] = f"open({str(trap.marker)!r}, 'w') and __import__('torch').nn.SiLU()"
    torch.save(content, file)
    world = make_world(tmp_path / "world", {"a": ["hostile"] * 30}, finetuned_model={**SMALL, "epochs": 1})
    yolo_dataset.run(world, silent)
    with pytest.raises(TypeError, match="unsupported activation"):
        finetune.finetune(
            world.paths.dataset,
            file,
            world.params.finetuned_model,
            tmp_path / "work",
            progress=silent,
            on_epoch=lambda epoch, row: None,
        )
    trap.assert_not_sprung()


def test_a_dataset_that_brings_code(trap: Trap, tmp_path: Path) -> None:
    """ultralytics unpickles caches among the labels and runs what data.yaml says to download."""
    world = make_world(tmp_path / "world", {"a": ["hostile"] * 30}, finetuned_model={**SMALL, "epochs": 1})
    yolo_dataset.run(world, silent)
    dataset = world.paths.dataset
    for split in ("train", "val"):
        rogue = np.array(Rogue(trap.marker), dtype=object)
        np.save(dataset / "labels" / f"{split}.cache", rogue, allow_pickle=True)  # adds .npy
        (dataset / "labels" / f"{split}.cache.npy").rename(dataset / "labels" / f"{split}.cache")
    data = yaml.safe_load((dataset / "data.yaml").read_text(encoding="utf-8"))
    data |= {"val": "nowhere", "download": f"open({str(trap.marker)!r}, 'w')"}
    (dataset / "data.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")

    def train() -> None:
        finetune.finetune(
            dataset,
            "yolo26n.yaml",
            world.params.finetuned_model,
            tmp_path / "work",
            progress=silent,
            on_epoch=lambda epoch, row: None,
        )

    with pytest.raises(Exception, match="nowhere"):
        train()
    trap.assert_not_sprung()
    (dataset / "data.yaml").write_text(yaml.safe_dump(data | {"val": "images/val"}), encoding="utf-8")
    train()
    trap.assert_not_sprung()


@pytest.mark.parametrize("form", FORMS)
def test_masks(form: str, trap: Trap, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sam2.1_hiera_tiny.pt", "mobile_sam.pt"):
        getattr(trap, form)(mine / name)
    config = sam2_model.CONFIGS["sam2.1_hiera_tiny.pt"]
    with pytest.raises(MissingWeightsError, match="damaged"):
        sam2_model.load(sam2_model.build(config, 64), mine / "sam2.1_hiera_tiny.pt")
    mobile_sam.predictor_of.cache_clear()
    # Also where the form of the file is not looked at before.
    monkeypatch.setattr(mobile_sam, "require", lambda name: mine / name)
    with pytest.raises(MissingWeightsError, match="damaged"):
        mobile_sam.MobileSam("mobile_sam.pt", masks_params())
    trap.assert_not_sprung()


def test_the_memory_of_a_propagation(trap: Trap, tmp_path: Path) -> None:
    file = trap.archive(tmp_path / "memory.pt")

    class Half(Streaming):
        """A propagator without a model: it only loads what was saved."""

        def __init__(self) -> None:
            super().__init__("none", "cpu", Memory(6, 7, "obj_ptr"), 1)

        def _encode(self, image: Any) -> Any:
            raise AssertionError(image)

        def _decode_prompt(self, frame: Any, prompt: Any, shape: Any) -> Any:
            raise AssertionError(prompt)

        def _track(self, frame: Any, views: Any, reverse: bool) -> Any:
            raise AssertionError(views)

    half = Half()
    with pytest.raises(InputError, match="not the saved memory of a propagator"):
        half.load(file)
    trap.assert_not_sprung()


def _rogue_tensors(trap: Trap, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    trap.archive(folder / "pytorch_model.bin")


HUB: list[tuple[Callable[..., Path], str, str]] = [
    (standins.clip_text, "CLIPTextModelWithProjection", "CLIPTokenizer"),
    (standins.grounding_dino, "AutoModelForZeroShotObjectDetection", "AutoProcessor"),
    (standins.owl, "AutoModelForZeroShotObjectDetection", "AutoProcessor"),
    (lambda folder: standins.kosmos2(folder, ["a"]), "Kosmos2ForConditionalGeneration", "AutoProcessor"),
]


@pytest.mark.parametrize(
    ("build", "model", "processor"), HUB, ids=["clip", "grounding dino", "owl", "kosmos"]
)
def test_folders_of_a_hub(
    build: Callable[..., Path], model: str, processor: str, trap: Trap, mine: Path
) -> None:
    build(mine / "folder")
    _rogue_tensors(trap, mine / "folder")
    with pytest.raises(MissingWeightsError, match="damaged, or weights of something else"):
        hub_models.load(model, processor, "folder", "cpu")
    trap.assert_not_sprung()


def test_a_folder_that_brings_code_is_not_asked_about(trap: Trap, mine: Path) -> None:
    folder = standins.grounding_dino(mine / "folder")
    (folder / "rogue.py").write_text(f"open({str(trap.marker)!r}, 'w')\n", encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    auto = {"AutoConfig": "rogue.Config", "AutoModelForZeroShotObjectDetection": "rogue.Model"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "rogue", "auto_map": auto}))
    with pytest.raises(MissingWeightsError):
        hub_models.load("AutoModelForZeroShotObjectDetection", "AutoProcessor", "folder", "cpu")
    trap.assert_not_sprung()


def test_edgetam(trap: Trap, mine: Path) -> None:
    folder = mine / "folder"  # of published weights the missing file would be asked for at the hub
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "edgetam_video"}', encoding="utf-8")
    trap.archive(folder / "model.safetensors")
    trap.archive(folder / "pytorch_model.bin")
    for _ in range(2):
        with pytest.raises(MissingWeightsError, match="damaged, or not EdgeTAM"):
            edgetam_model.model.__wrapped__("video", "folder", 256, "cpu")
        (folder / "model.safetensors").unlink(missing_ok=True)
    trap.assert_not_sprung()


def test_code_of_moondream_runs_only_when_it_is_the_one_that_was_trusted(trap: Trap, mine: Path) -> None:
    folder = standins.moondream(mine / "moondream", {"caption": {"caption": "A ship."}})
    settings = MoondreamSettings(weights="moondream", trust_remote_code=True)
    with pytest.raises(InputError, match=r"moondream: not trusted.*gotowce trust"):
        Moondream("m", settings)
    trust.add(folder, mine.parent)
    assert Moondream("m", settings).describe(np.zeros((8, 8, 3), np.uint8)) == "A ship."
    with (folder / "standin.py").open("a", encoding="utf-8") as file:
        file.write(f"open({str(trap.marker)!r}, 'w')\n")
    with pytest.raises(InputError, match="not trusted"):
        Moondream("m", settings)
    trap.assert_not_sprung()


_SAYS = {"load": "weights_only", "from_pretrained": "trust_remote_code"}
_UNSAFE = {("pickle", "load"), ("pickle", "loads"), ("yaml", "load"), ("yaml", "unsafe_load")}


def test_no_loader_of_the_package_leaves_it_open() -> None:
    """torch.load says weights_only, from_pretrained trust_remote_code, and no pickle is read otherwise."""
    seen = 0
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            place = f"{file.name}:{node.lineno}"
            assert (owner, node.func.attr) not in _UNSAFE, place
            assert keywords.get("allow_pickle") != "True", place
            if (owner, node.func.attr) == ("torch", "load"):
                assert keywords.get("weights_only") == "True", place
                seen += 1
            if node.func.attr == "from_pretrained":
                assert keywords.get("trust_remote_code") == "False" or file.name == "moondream.py", place
                seen += 1
    assert seen >= 6


def test_libraries_that_ask_for_a_full_unpickling_do_not_get_it(
    trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from ultralytics.utils.patches import torch_load

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trust.restrict_unpickling()
    file = trap.archive(tmp_path / "a.pt")
    for read in (torch_load, lambda path: torch.load(path, weights_only=False)):
        with pytest.raises(pickle.UnpicklingError):
            read(file)
    trap.assert_not_sprung()
