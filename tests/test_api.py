"""The public API, as docs/python.md shows it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gotowce_dagster
from gotowce_dagster import InputError, detect, open_project, read_profile, read_rows, run_stage

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_page_runs_as_it_stands(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 2
    monkeypatch.setenv("GOTOWCE_ROOT", str(ROOT))
    names: dict = {}
    exec(blocks[0], names)
    boxes = names["boxes"]
    assert set(boxes["frame_index"]) == {0, 20, 40}
    assert (boxes["confidence"] > 0.5).all()
    assert "frame_index" in capsys.readouterr().out
    compile(blocks[1], "docs/python.md", "exec")


@pytest.mark.integration
def test_every_public_name_is_loaded_on_first_use() -> None:
    for name in gotowce_dagster.__all__:
        assert getattr(gotowce_dagster, name) is not None
    loaded = "import sys, gotowce_dagster; print('pandas' in sys.modules, 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        gotowce_dagster.nonsense  # noqa: B018


def test_wrong_names_are_answered_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    project = open_project(ROOT)
    with pytest.raises(InputError, match="no stage named 'mask'; expected one of extracted_frames"):
        run_stage(project, "mask")
    with pytest.raises(InputError, match="masks runs on one video: name it"):
        run_stage(project, "masks")
    with pytest.raises(InputError, match="no table named 'boxes'; expected one of frames, detections"):
        read_rows(project, "boxes", "a")
    with pytest.raises(InputError, match="no detector named 'braket'"):
        detect("a.mp4", read_profile(ROOT / "data" / "profiles" / "none.toml"), detector="braket")
