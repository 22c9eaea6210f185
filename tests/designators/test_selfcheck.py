from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.designators.calibrate import calibrate
from gotowce_dagster.designators.choose import Candidate
from gotowce_dagster.designators.corners import learn
from gotowce_dagster.designators.examples import Example, Shown
from gotowce_dagster.designators.profile import Designator
from gotowce_dagster.designators.selfcheck import self_check
from gotowce_dagster.video.encode import write_video
from tests.detectors.marks import put_mark, sky
from tests.marks_scenes import MarkScene, encoded, examples_at
from tests.support.synthetic import Bracket

COLUMNS = ["clip", "frame_index", "x1", "y1", "x2", "y2", "label"]


def boxes_of(scene: MarkScene, video: Path, count: int = 5, targets: bool = False) -> Path:
    rows = []
    for index in examples_at(scene, count):
        for drawn in scene.truth(index):
            rows.append((video.name, index, *drawn.mark, "designator"))
            if targets:
                rows.append((video.name, index, *drawn.target, "target"))
    path = video.with_suffix(".csv")
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_calibration_says_what_to_expect_from_unseen_frames(tmp_path: Path) -> None:
    scene = MarkScene("beside", "chevron", seed=81, size=(640, 360), frames=24, background="soil")
    video = encoded(scene, tmp_path)
    result = calibrate(video, boxes_of(scene, video, targets=True), profile_name="game")
    assert result.designator.family == "beside"
    assert result.designator.target.where == "beside"
    assert result.designator.target.learned
    assert result.designator.target.box[1] >= 1  # below the chevron
    check = result.check
    assert check is not None
    assert check.frames >= 12
    assert check.count("sure") >= 0.9 * check.frames
    assert check.count("suspicious") == 0
    assert "recall about 1.00" in check.expectation
    assert f"{check.frames} unseen frames" in check.expectation
    used = set(examples_at(scene))
    assert not used & {finding.shown.frame_index for finding in check.findings}


@pytest.mark.slow
def test_what_is_found_where_a_human_saw_no_mark_is_suspicious(tmp_path: Path) -> None:
    scene = MarkScene("beside", "chevron", seed=81, size=(640, 360), frames=24, background="soil")
    video = encoded(scene, tmp_path)
    boxes = boxes_of(scene, video)
    wrong = next(index for index in range(24) if index not in examples_at(scene) and scene.truth(index))
    with boxes.open("a") as file:
        file.write(f"{video.name},{wrong},,,,,none\n")
    check = calibrate(video, boxes, profile_name="game").check
    assert check is not None
    assert {f.shown.frame_index for f in check.findings if f.kind == "suspicious"} == {wrong}


def test_what_stands_still_is_suspicious_except_at_the_place_of_an_example() -> None:
    look, places, panel = Bracket(colour=(60, 230, 60), arm=0.25), [(60, 50), (220, 110)], (130, 20)

    def frame(number: int, place: tuple[int, int], hud: bool) -> tuple[np.ndarray, np.ndarray]:
        image = sky(320, 180, seed=number)
        if hud:
            put_mark(image, *panel, 40, look)
        return image, np.array(put_mark(image, *place, 40, look), float)

    shown = [frame(k, places[k % 2], hud=False) for k in range(4)]
    examples = [Example(k, image, box) for k, (image, box) in enumerate(shown)]
    candidate = Candidate(learn(examples, "target", "ship"), 1.0, 1.0, 1.0, 0.0, 1.0)
    # The mark stays at one place for seven frames of ten.
    unseen = [Shown("a.mp4", k, frame(k, places[k >= 17], hud=True)[0]) for k in range(10, 20)]
    check = self_check(candidate, unseen, [box for _, box in shown], 1.0)
    assert check.count("sure") == 10
    assert [f.box[:2].round().tolist() for f in check.findings if f.kind == "suspicious"] == [[130, 20]] * 10
    assert "precision about 0.50" in check.expectation

    # Another video has frames of the same numbers.
    two = self_check(
        candidate, [*unseen, *(one._replace(clip="b.mp4") for one in unseen)], [b for _, b in shown], 1
    )
    assert (two.frames, two.frames_with) == (20, 20)


def test_boxes_that_no_family_recognises_are_refused_with_the_next_step(tmp_path: Path) -> None:
    video = tmp_path / "empty.mp4"
    write_video(video, [sky(320, 180, seed=k) for k in range(6)], options={"crf": "20"})
    rows = [("empty.mp4", k, 40 + 20 * k, 50, 80 + 20 * k, 90, "designator") for k in range(4)]
    boxes = tmp_path / "boxes.csv"
    pd.DataFrame(rows, columns=COLUMNS).to_csv(boxes, index=False)
    with pytest.raises(InputError, match=r"nothing is saved\. Draw the boxes tight") as error:
        calibrate(video, boxes, profile_name="game")
    assert str(boxes) in str(error.value)


@pytest.mark.slow
def test_a_mark_like_all_of_the_ground_is_refused_as_such(tmp_path: Path) -> None:
    """Berries all over the ground, five of them in boxes: what finds these finds the others too."""
    rng = np.random.default_rng(4)
    images, rows = [], []
    for index in range(8):
        image = sky(320, 180, seed=index)
        cells = rng.permutation(60)[:30]
        places = np.c_[cells % 10, cells // 10] * 30 + rng.integers(8, 16, (30, 2))
        for x, y in places.tolist():
            image[y : y + 9, x : x + 9] = (230, 60, 50)
        x, y = places[0].tolist()
        if index < 5:
            rows.append(("ground.mp4", index, x, y, x + 9, y + 9, "designator"))
        images.append(image)
    write_video(tmp_path / "ground.mp4", images, options={"crf": "18"})
    boxes = tmp_path / "boxes.csv"
    pd.DataFrame(rows, columns=COLUMNS).to_csv(boxes, index=False)
    refused = r"finds \d+% of the 5 examples and \d+ other places a frame: it would match the scene's ground"
    with pytest.raises(InputError, match=refused) as error:
        calibrate(tmp_path / "ground.mp4", boxes, profile_name="game")
    assert "nothing is saved. Draw the boxes tight" in str(error.value)


def test_boxes_of_two_videos_teach_one_designator(tmp_path: Path) -> None:
    rows, videos = [], []
    for name, places in (
        ("small.mp4", [(60, 50, 30), (300, 90, 32)]),
        ("large.mp4", [(60, 50, 120), (350, 150, 118)]),
    ):
        images = []
        for number, (x, y, side) in enumerate(places):
            images.append(sky(seed=number))
            look = Bracket(colour=(60, 230, 60), arm=8 / side)
            rows.append((name, number, *put_mark(images[-1], x, y, side, look), "designator"))
        videos.append(tmp_path / name)
        write_video(videos[-1], images, options={"crf": "18"})
    boxes = tmp_path / "boxes.csv"
    pd.DataFrame(rows, columns=COLUMNS).to_csv(boxes, index=False)
    result = calibrate(videos, boxes, profile_name="game")
    assert isinstance(result.designator, Designator)
    assert getattr(result.designator, "arm_law", None) == "fixed"
    assert result.profile.videos == ("small", "large")
    assert [fit.confidence > 0.8 for fit in result.fits] == [True] * 4
    assert np.isfinite([fit.box for fit in result.fits]).all()
