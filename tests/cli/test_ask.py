import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gotowce_dagster.config.project import Project
from tests.cli.running import run
from tests.detectors.servers import Turn, boxes, serving


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detector", "bracket"], "bracket cannot describe; it only finds boxes"),
        (["--detector", "bracket", "--count", "ships", "--point", "ships"], "one of --question, --count and"),
        (["--detector", "magic"], "no detector named 'magic'"),
        (["--detector", "bracket", "--frames", "99999"], "has no readable frame 99999"),
        (["--detector", "moondream_server", "--question", "what is it?"], "nothing was sent"),
    ],
    ids=["one that finds boxes", "two at once", "unknown detector", "frame past the end", "unpaid"],
)
def test_ask_refuses(
    clone: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Callable[..., str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert message in refusal("ask", "data/samples/naev_hostile_sample.mp4", *words)


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
