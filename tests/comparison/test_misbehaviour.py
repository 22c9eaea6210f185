"""The whole command, in new processes, with a misbehaving server: every bad response is counted."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.designators.profile import write_profile
from tests.conftest import ROOT
from tests.detectors.marks import PROFILE
from tests.detectors.servers import Server, Turn, boxes, serving
from tests.support.synthetic import Scene, write_scene
from tests.support.warm import commands

pytestmark = pytest.mark.integration

FRAMES, SIZE = 12, (640, 360)
EMPTY = 11
"""The frame without a designator."""
PRICES = """
date = 2026-01-01
[providers.compatible]
source = "mine"
[providers.compatible.models]
eye = { input = 1.0, output = 5.0 }
"""


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of the command."""

    code: int
    rows: dict[str, dict[str, Any]]
    page: str


@dataclass
class Case:
    """A video with exact truth, a misbehaving server, and another one that it points to."""

    folder: Path
    truth: pd.DataFrame
    server: Server
    elsewhere: Server

    def compare(self, *words: str) -> Outcome:
        """`gotowce compare` of bracket and the server on every frame."""
        out = self.folder / "out"
        files = ["--truth", "truth.csv", "--profile", "drawn.toml", "--out", str(out)]
        command = [commands() / "gotowce", "compare", "clip.mp4", *files]
        done = subprocess.run(
            [*command, "--detectors", "bracket,eye", "--frames", str(FRAMES), "--json", *words],
            cwd=self.folder,
            env=os.environ | {"XDG_CACHE_HOME": str(self.folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        outcome = json.loads(done.stdout)
        page = (out / "report.html").read_text(encoding="utf-8")
        return Outcome(done.returncode, {row["name"]: row for row in outcome["detectors"]}, page)

    def box(self, frame_index: int) -> tuple[float, float, float, float]:
        rows = self.truth[(self.truth["frame_index"] == frame_index) & (self.truth["label"] == "designator")]
        x1, y1, x2, y2 = xyxy(rows)[0].tolist()
        return x1, y1, x2, y2

    def right(self, frame_index: int) -> Turn:
        return Turn(boxes(("a bracket", *self.box(frame_index), 0.9)))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with serving(Turn(boxes())) as server, serving(Turn(boxes())) as elsewhere:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        (tmp_path / "prices.toml").write_text(PRICES, encoding="utf-8")
        eye = {
            "kind": "hosted", "provider": "compatible", "model": "eye", "base_url": f"{server.address}/v1",
            "prompts": {"target": ["a bracket"]}, "prices": "prices.toml", "requests_per_minute": None,
            "retries": 1, "timeout_s": 2,
        }  # fmt: skip
        params["detector_comparison"] |= {"detectors": {"eye": eye}, "bootstrap": 100, "max_batch": 1}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        write_profile(PROFILE, tmp_path / "drawn.toml")
        scene = Scene(frames=FRAMES, size=SIZE, absent=(range(EMPTY, FRAMES),))
        truth = write_scene(tmp_path / "clip.mp4", scene).drop(columns="target")
        truth.to_csv(tmp_path / "truth.csv", index=False)
        yield Case(tmp_path, truth, server, elsewhere)


def test_bad_responses_are_counted_and_nothing_is_sent_without_yes(case: Case) -> None:
    refused = case.compare()
    assert case.server.requests == []
    assert refused.code == 0
    assert refused.rows["bracket"]["f1_50"] == 1
    assert refused.rows["eye"]["status"] == "stopped"
    assert "nothing was sent" in refused.rows["eye"]["reason"]
    assert "--yes" in refused.rows["eye"]["reason"]

    width, height = SIZE
    x1, y1, x2, y2 = case.box(4)
    outside = ("a bracket", width + 10, 20, width + 60, 70, 0.9)
    shares = ("a bracket", x1 / width, y1 / height, x2 / width, y2 / height, 0.9)
    swapped = case.box(3)
    away = {"location": f"{case.elsewhere.address}/v1/chat/completions"}
    case.server.turns.extend(
        [
            case.right(0),
            Turn(words="I cannot help to find targets."),
            Turn(boxes(outside)),
            Turn(boxes(("a bracket", *swapped[2:], *swapped[:2], 0.9))),
            Turn(boxes(shares)),
            Turn('{"coordinates": "pixel", "boxes": [{"label": "a br'),
            *(Turn({}, status=429, headers={"retry-after": "0"}), case.right(6)),
            *(Turn({}, status=500), case.right(7)),
            *(Turn(boxes(), delay_s=4), case.right(8)),
            Turn({}, status=307, headers=away),
            *(Turn({}, status=500), Turn({}, status=500)),
            Turn(boxes()),  # no boxes, which is right
        ]
    )
    outcome = case.compare("--yes")
    row = outcome.rows["eye"]
    unanswered = 5  # a refusal, a box outside, broken JSON, a redirect, a server that never recovers
    replies = FRAMES - 2
    assert outcome.code == 0
    assert not case.server.turns
    assert len(case.server.requests) == FRAMES + 4
    assert case.elsewhere.requests == []
    assert (row["status"], row["frames"], row["failed_frames"]) == ("ran", FRAMES, 0)
    assert row["retries"] == 4
    assert row["invalid_share"] == pytest.approx(unanswered / FRAMES)
    assert row["unanswered_frames"] == unanswered
    assert row["scored_frames"] == FRAMES - unanswered
    assert row["f1_50"] == row["f1_75"] == 1, "swapped corners and shares are put right"
    assert (row["tokens_in"], row["tokens_out"]) == (1000 * replies, 100 * replies)
    assert row["money_per_1000"] == pytest.approx(1000 * replies * 0.0015 / FRAMES)
    assert "5 of 12 responses were unparseable" in row["reason"]
    assert outcome.rows["bracket"]["scored_frames"] == FRAMES
    assert outcome.rows["bracket"]["f1_50"] == 1
    assert "5 frames have no usable response" in outcome.page
