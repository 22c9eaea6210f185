from pathlib import Path

import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.diagnosis import machine
from gotowce_dagster.diagnosis.finding import Level


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights, as the user names it."""
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(mine))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return mine


@pytest.mark.parametrize(("free_gb", "ok"), [(60, True), (30, False)])
def test_the_disk_is_compared_with_hours_of_video(clone: Project, free_gb: float, ok: bool) -> None:
    found = machine.disk(clone, hours=4, free_gb=free_gb)
    assert found.ok == ok
    # 10 GB in any case, and an hour of video twice (6 GB) with its frames (2 GB)
    assert found.result == (
        f"{free_gb} GB free; 4 hours of 1280x720 video and the rest of the pipeline need about 42 GB"
    )
    assert (found.level, bool(found.do)) == ((Level.FINE, False) if ok else (Level.WRONG, True))


def test_default_hours_are_those_without_frames(clone: Project) -> None:
    found = machine.disk(clone, free_gb=11)
    assert found.ok
    assert "0.0 hours of video without frames" in found.result


@pytest.mark.parametrize(("available_gb", "level"), [(8.0, Level.FINE), (2.0, Level.HINT)])
def test_gpu_memory_is_compared_with_the_chosen_engines(
    folder: Path, available_gb: float, level: Level
) -> None:
    with (folder / "mine.safetensors").open("wb") as file:
        file.truncate(500_000_000)
    engines = {"masks": "sam2:mine.safetensors", "propagation": "unused", "finetuned_model": "elsewhere.pt"}
    (found,) = machine.gpu_memory(engines, available_gb)
    (folder / "hub").mkdir()
    with (folder / "hub" / "model.safetensors").open("wb") as file:
        file.truncate(500_000_000)
    (of_folder,) = machine.gpu_memory({"masks": "edgetam:hub"}, available_gb)
    assert of_folder.result == f"edgetam:hub needs about 3.0 GB of the GPU's {available_gb}"
    assert (found.what, found.level) == ("GPU memory for masks", level)
    assert found.result == f"sam2:mine.safetensors needs about 3.0 GB of the GPU's {available_gb}"


def test_the_weights_folder_is_named_with_what_it_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mobile_sam.pt").write_bytes(b"x")
    assert machine.weights_folder().result == f"GOTOWCE_WEIGHTS_DIR is {folder}, with mobile_sam.pt"
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder / "none"))
    found = machine.weights_folder()
    assert (found.level, found.do) == (Level.WRONG, f"mkdir -p '{folder / 'none'}'")
    monkeypatch.delenv("GOTOWCE_WEIGHTS_DIR")
    assert "not set" in machine.weights_folder().result


def test_versions_are_compared_with_the_pins(clone: Project) -> None:
    lock = clone.paths.root / "requirements.lock"
    lock.write_text(
        "dvc==1.0 \\\n    --hash=sha256:0\ntorch==0.1 ; sys_platform == 'x' \\\n", encoding="utf-8"
    )
    found = machine.versions(clone)
    assert (found.level, found.do) == (Level.HINT, "make install")
    assert found.result.startswith("dvc 3.")
    assert found.result.endswith(", pinned 1.0")
    lock.unlink()
    assert machine.versions(clone).ok


def test_codecs_name_ffmpeg(clone: Project) -> None:
    found = machine.codecs()
    assert found.ok
    assert "FFmpeg" in found.result
    assert "av1, writes h264; hardware decoders built in: " in found.result
