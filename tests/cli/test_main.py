import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gotowce_dagster.config.project import Project


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stage", "nope"], "no stage named 'nope'; expected one of extracted_frames"),
        (["stage", "masks"], "masks runs on one video: name it"),
        (["stage", "evaluation", "duel"], "evaluation runs on the whole project"),
        (["stage", "masks", "ghost"], "no video named 'ghost'; known: none yet"),
        (["mark", "ghost"], "no video named 'ghost'"),
    ],
    ids=["unknown stage", "video missing", "video too many", "unknown video", "nothing to mark"],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    clone_to_read: Project, refusal: Callable[..., str], words: list[str], message: str
) -> None:
    assert message in refusal(*words)


def test_a_file_to_add_that_does_not_exist(clone: Project, refusal: Callable[..., str]) -> None:
    assert "missing.mp4" in refusal("add", "missing.mp4")


def test_outside_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str]
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    assert "no params.yaml here or above" in refusal("sync")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("masks: [", "not valid YAML"),
        ("extracted_frames: {fps: -1, jpeg_quality: 95, colour: red}", "extracted_frames.fps"),
        ("extracted_frames: {fps: -1, jpeg_quality: 95, colour: red}", "extracted_frames.colour"),
    ],
    ids=["syntax", "out of range", "unknown key"],
)
def test_bad_params_name_the_field(
    clone: Project, refusal: Callable[..., str], text: str, message: str
) -> None:
    clone.paths.params.write_text(text, encoding="utf-8")
    error = refusal("sync")
    assert "params.yaml" in error
    assert message in error


HEAVY = ["torch", "ultralytics", "sam2", "transformers", "dvc", "matplotlib", "scenedetect"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("gotowce_dagster.cli.main", [*HEAVY, "dagster", "pandas", "cv2", "supervision", "av"]),
        ("gotowce_dagster.definitions", [*HEAVY, "supervision", "scipy"]),
    ],
)
def test_doors_open_without_heavy_libraries(module: str, banned: list[str]) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & set({banned!r})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
