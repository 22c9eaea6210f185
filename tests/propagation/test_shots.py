"""Propagation through synthetic scenes with a propagator that tracks a colour: exact where colours differ."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.params import PropagationParams
from gotowce_dagster.core import rle
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.evidence import Evidence
from gotowce_dagster.propagation.shots import propagate
from gotowce_dagster.segmenters.prompts import Prompt
from tests.shipped import masks_params
from tests.support.synthetic import Scene, Target, write_scene

RED, BLUE = (220, 60, 40), (60, 120, 230)
ONE = Target("freighter", 40, (60, 60), (3, 1), 0.0, RED, None)
OTHER = Target("freighter", 40, (240, 145), (-2, 0), 0.0, BLUE, None)
SCENE = Scene((ONE, OTHER), frames=40, size=(320, 180), overshoot=-30)
FRAMES = range(0, 40, 2)


class Colour:
    """Tracks the patch of an object's colour that is nearest to its last position."""

    name, weights, device = "colour", "none", "cpu"

    def __init__(self, fails_at: int | None = None) -> None:
        self.memory: dict[str, dict] = {}
        self.visited: list[int] = []
        self._fails_at = fails_at

    def begin(self) -> None:
        self.memory = {}

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        for name, prompt in prompts.items():
            if prompt.mask is not None:
                colour, (y, x) = np.median(image[prompt.mask], axis=0), np.argwhere(prompt.mask).mean(axis=0)
            else:
                assert prompt.points is not None
                x, y = prompt.points[0]
                colour = image[round(y), round(x)]
            self.memory[name] = {"colour": colour.tolist(), "at": [float(x), float(y)]}
        return {name: self._look(image, name) for name in prompts}

    def step(self, frame_index: int, image: np.ndarray, objects, reverse: bool = False):
        self.visited.append(frame_index)
        if len(self.visited) == self._fails_at:
            raise KeyboardInterrupt
        return {name: self._look(image, name) for name in objects}

    def forget(self, object_id: str) -> None:
        self.memory.pop(object_id, None)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.memory))

    def load(self, path: Path) -> None:
        self.memory = json.loads(path.read_text())

    def _look(self, image: np.ndarray, name: str) -> Observation:
        memory = self.memory[name]
        near = np.abs(image.astype(int) - memory["colour"]).max(axis=2) < 50
        count, labels, stats, centres = cv2.connectedComponentsWithStats(near.astype(np.uint8))
        large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= 40]
        if not large:
            return Observation(np.zeros_like(near), np.nan, np.nan, np.nan)
        best = min(large, key=lambda n: np.hypot(*(centres[n] - memory["at"])))
        memory["at"] = centres[best].tolist()
        return Observation(labels == best, 0.9, np.nan, 0.9)


def params(**changes: object) -> PropagationParams:
    return masks_params().propagation.model_copy(update={"chunk": 7, "give_up_s": 0.6, **changes})


def detected_masks(scene: Scene, *detected: tuple[int, int, str, float]) -> pd.DataFrame:
    """Detected masks from (frame_index, target, track, trust); the masks are exact."""
    rows = [
        {
            "frame_index": frame,
            "detection_id": target,
            "object_id": track,
            "class_name": "ship",
            "rle": rle.encode(scene.masks(frame)[target]),
            "height": scene.size[1],
            "width": scene.size[0],
            "prompt": "point@3",
            "trust": trust,
        }
        for frame, target, track, trust in detected
    ]
    columns = ["frame_index", "detection_id", "object_id", "class_name", "rle", "height", "width", "prompt"]
    return pd.DataFrame(rows, columns=[*columns, "trust"])


def visits(frames=FRAMES, shot_of=lambda _: 0) -> pd.DataFrame:
    return pd.DataFrame({"frame_index": list(frames), "shot": [shot_of(frame) for frame in frames]})


VISITS = visits()


def follow(
    folder: Path,
    scene: Scene,
    detected: pd.DataFrame,
    *,
    points=None,
    propagator=None,
    shots=VISITS,
    **changes,
) -> pd.DataFrame:
    video, work = folder / "scene.mp4", folder / "work"
    if not video.exists():
        write_scene(video, scene, crf=12)
    work.mkdir(exist_ok=True)
    evidence = Evidence(detected, points or {}, 0.6)
    return propagate(video, shots, evidence, propagator or Colour(), params=params(**changes), work=work)


def overlaps(rows: pd.DataFrame, scene: Scene, target: int) -> dict[int, float]:
    """IoU with the exact mask by frame, for rows with a mask."""
    found = {}
    for row in rows[rows["rle"].notna()].to_dict("records"):
        mask = rle.mask_of(row)
        exact = scene.masks(row["frame_index"])[target]
        found[row["frame_index"]] = (mask & exact).sum() / (mask | exact).sum()
    return found


def of(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return rows[rows["object_id"] == name].sort_values("frame_index")


def test_objects_are_propagated_in_both_directions_from_their_most_trusted_frame(tmp_path: Path) -> None:
    detected = detected_masks(SCENE, (4, 0, "0/0", 0.7), (20, 0, "0/0", 0.9), (30, 1, "0/1", 0.8))
    rows = follow(tmp_path, SCENE, detected)
    one = of(rows, "0/0").set_index("frame_index")
    assert list(one.index) == list(FRAMES)
    assert one["prompt"][20] == "point@3"
    assert set(one["prompt"].loc[:19]) == {"propagated back"}
    assert set(one["prompt"].loc[21:]) == {"propagated"}
    assert set(rows["state"]) == {"sure"}
    for target, name in enumerate(("0/0", "0/1")):
        assert min(overlaps(of(rows, name), SCENE, target).values()) > 0.75
    assert one["detected"][4] > 0.75
    assert one["detected"].notna().sum() == 2
    assert one["detection_id"][4] == 0
    assert one["detection_id"].notna().sum() == 2


HIDDEN = replace(
    SCENE, targets=(Target("freighter", 40, (60, 60), (5, 0), 0.0, RED, None),), panel=(110, 20, 190, 110)
)


def test_occluded_object_is_lost_until_its_next_detection(tmp_path: Path) -> None:
    detected = detected_masks(HIDDEN, (0, 0, "0/0", 0.9), (36, 0, "0/0", 0.8))
    rows = of(follow(tmp_path, HIDDEN, detected), "0/0")
    hidden = [frame for frame in FRAMES if not HIDDEN.masks(frame)[0].any()]
    states = rows.set_index("frame_index")["state"]
    assert len(hidden) >= 3
    assert set(states[states.index.isin(hidden)]) == {"lost"}
    assert rows.loc[rows["state"] == "lost", "rle"].isna().all()
    assert states[36] == "sure"
    # Between the panel and the detection that prompts it again, the backward pass tracks it.
    assert set(rows.set_index("frame_index")["prompt"].loc[30:35]) == {"propagated back"}
    assert min(overlaps(rows[rows["state"] == "sure"], HIDDEN, 0).values()) > 0.6


def test_lost_object_without_another_detection_is_dropped(tmp_path: Path) -> None:
    rows = follow(tmp_path, HIDDEN, detected_masks(HIDDEN, (0, 0, "0/0", 0.9)))
    last = rows["frame_index"].max()
    assert rows.set_index("frame_index")["state"][last] == "lost"
    assert last < 36


def test_nothing_is_propagated_across_a_cut(tmp_path: Path) -> None:
    detected = detected_masks(SCENE, (10, 0, "0/0", 0.9))
    rows = follow(tmp_path, SCENE, detected, shots=visits(shot_of=lambda frame: int(frame >= 20)))
    assert rows["frame_index"].max() == 18
    assert rows["frame_index"].min() == 0


def test_scene_jump_without_a_detected_cut_ends_tracking(tmp_path: Path) -> None:
    scene = replace(SCENE, cuts=(20,), size=(320, 180))
    rows = follow(
        tmp_path, scene, detected_masks(scene, (10, 0, "0/0", 0.9)), jump_change=5.0, jump_similarity=0.9
    )
    assert rows.loc[rows["rle"].notna(), "frame_index"].max() == 18


def test_human_points_start_an_object(tmp_path: Path) -> None:
    y, x = np.argwhere(SCENE.masks(8)[1]).mean(axis=0)
    points = {8: {"7": Prompt(np.array([[x, y]]), np.array([1]))}}
    rows = follow(tmp_path, SCENE, detected_masks(SCENE), points=points)
    assert set(rows["object_id"]) == {"points/7"}
    assert list(rows.sort_values("frame_index")["frame_index"]) == list(FRAMES)
    assert set(rows["class_name"]) == {"target"}
    assert rows.set_index("frame_index")["prompt"][8] == "points"
    assert min(overlaps(rows, SCENE, 1).values()) > 0.75


def test_new_track_on_a_propagated_mask_joins_its_object(tmp_path: Path) -> None:
    detected = detected_masks(SCENE, (2, 0, "0/0", 0.9), (20, 0, "0/5", 0.8))
    rows = follow(tmp_path, SCENE, detected)
    assert set(rows["object_id"]) == {"0/0"}
    assert rows.set_index("frame_index")["detection_id"][20] == 0


def test_track_with_a_changed_appearance_becomes_a_new_object(tmp_path: Path) -> None:
    scene = replace(SCENE, targets=(HIDDEN.targets[0], OTHER), panel=HIDDEN.panel)
    detected = detected_masks(scene, (0, 0, "0/0", 0.9), (30, 1, "0/0", 0.8))
    rows = follow(tmp_path, scene, detected)
    assert set(rows["object_id"]) == {"0/0", "0/0+1"}
    assert min(overlaps(of(rows, "0/0+1"), scene, 1).values()) > 0.6


def test_two_objects_never_share_a_mask(tmp_path: Path) -> None:
    """Two ships of one colour cross, and the propagator confuses them."""
    ships = (replace(ONE, start=(40, 60), velocity=(4, 0)), replace(ONE, start=(220, 60), velocity=(-4, 0)))
    scene = replace(SCENE, targets=ships)
    rows = follow(tmp_path, scene, detected_masks(scene, (0, 0, "0/0", 0.9), (0, 1, "0/1", 0.8)))
    for _, in_frame in rows[rows["rle"].notna()].groupby("frame_index"):
        assert in_frame["rle"].is_unique


@pytest.mark.slow
@pytest.mark.parametrize("fails_at", [1, 6, 9, 12])
def test_interrupted_run_resumes_with_identical_results(tmp_path: Path, fails_at: int) -> None:
    detected = detected_masks(
        HIDDEN, (12, 0, "0/0", 0.9), (36, 0, "0/0", 0.8), (2, 0, "0/0", 0.65), (38, 0, "0/1", 0.7)
    )
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, killed, resumed = Colour(), Colour(fails_at), Colour()
    expected = follow(tmp_path / "whole", HIDDEN, detected, propagator=whole)
    with pytest.raises(KeyboardInterrupt):
        follow(tmp_path / "killed", HIDDEN, detected, propagator=killed)
    got = follow(tmp_path / "killed", HIDDEN, detected, propagator=resumed)
    pd.testing.assert_frame_equal(got, expected)
    if fails_at > 7:  # a chunk was finished before
        assert len(resumed.visited) < len(whole.visited)


def test_frames_without_objects_are_not_decoded(tmp_path: Path) -> None:
    propagator = Colour()
    rows = follow(tmp_path, SCENE, detected_masks(SCENE), propagator=propagator)
    assert rows.empty
    assert propagator.visited == []
