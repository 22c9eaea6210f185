import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from gotowce_dagster.config.project import Project
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.video.decode import read_frames
from tests.cli.running import run
from tests.detectors import standins
from tests.detectors.local.test_kosmos2 import CAPTION
from tests.detectors.servers import Turn, boxes, serving


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detector", "bracket"], "bracket cannot describe; it only finds boxes"),
        (["--detector", "bracket", "--count", "ships", "--point", "ships"], "one of --question, --count and"),
        (["--detector", "magic"], "no detector named 'magic'"),
        (["--detector", "bracket", "--frames", "99999"], "has no readable frame 99999"),
        (["--detector", "moondream_server", "--question", "what is it?"], "nothing was sent"),
        (["--detector", "bracket", "--out", "answer.gif"], "expected a file ending in .png"),
        (["--detector", "bracket", "--out", "answer.png"], "without boxes or points; try --point or --boxes"),
    ],
    ids=[
        "one that finds boxes",
        "two at once",
        "unknown detector",
        "frame past the end",
        "unpaid",
        "no picture",
        "nothing to draw",
    ],
)
def test_ask_refuses(
    clone_to_read: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Callable[..., str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert message in refusal("ask", "data/samples/naev_hostile_sample.mp4", *words)


@pytest.mark.slow
def test_ask_answers_and_reports_the_cost(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving(Turn(boxes())) as server:
        eye = {
            "kind": "hosted", "provider": "compatible", "model": "eye", "base_url": f"{server.address}/v1",
            "requests_per_minute": None, "parallel": 1,
        }  # fmt: skip
        params = yaml.safe_load(clone.paths.params.read_text(encoding="utf-8"))
        params["designator_detections"]["detectors"] = {"eye": eye}
        clone.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
        server.turns.extend([Turn({"count": 3}), Turn(words="Many.")])
        clip = "data/samples/naev_hostile_sample.mp4"
        words = ["--detector", "eye", "--count", "brackets", "--frames", "3,9", "--json"]
        assert run(monkeypatch, "ask", clip, *words, "--yes") == 0
    output = json.loads(capsys.readouterr().out)
    assert output["answers"] == {"3": 3, "9": None}
    assert (output["bill"]["answers"], output["bill"]["invalid"], output["bill"]["tokens_in"]) == (2, 1, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["answer.png", "answer.html"])
def test_ask_draws_what_kosmos2_names(
    clone: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    name: str,
) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    standins.kosmos2(tmp_path / "kosmos", CAPTION)
    params = yaml.safe_load(clone.paths.params.read_text(encoding="utf-8"))
    params["designator_detections"]["detectors"] = {"kos": {"kind": "kosmos2", "weights": "kosmos"}}
    clone.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    out = tmp_path / name
    clip = "data/samples/naev_hostile_sample.mp4"
    assert run(monkeypatch, "ask", clip, "--detector", "kos", "--frames", "17,142", "--out", str(out)) == 0
    shown = capsys.readouterr().out
    assert "frame 17: a red square ship" in shown
    # 12.5 / 32 of 1280 is the left of the box, 1.5 / 32 of 720 its top.
    assert "red square: 500, 34, 1260, 596" in shown
    if name.endswith(".html"):
        assert out.read_text(encoding="utf-8").count("<td>red square</td>") == 2
        return
    picture = read_rgb(out)
    original = next(iter(read_frames(clone.paths.root / clip, [17]))).rgb()
    tile = picture[6 : 6 + 540, 6 : 6 + 960].astype(int)
    change = np.abs(tile - cv2.resize(original, (960, 540), interpolation=cv2.INTER_AREA)).max(axis=2) > 60
    assert change[60:400, 371:380].any(axis=1).mean() > 0.95, "the left side of the box, at three quarters"
    assert change[500:, :].mean() < 0.01, "nothing is drawn below the box"
