from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import BracketSettings
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import DETECTIONS, write_table
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.detect import VIDEO_COLUMNS, bill, bill_in_words, detect_frames, detect_video
from gotowce_dagster.detectors.registry import build_detector, settings_of
from gotowce_dagster.video.encode import write_video
from tests.detectors.fixed import Fixed
from tests.detectors.marks import PROFILE, put_mark, sky

BRACKET = BracketSettings()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames; a mark in every one but 4 and 5, two in frame 7."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    images = [sky(seed=1) for _ in range(12)]
    for number, image in enumerate(images):
        if number not in (4, 5):
            put_mark(image, 100 + 5 * number, 80, 50)
        if number == 7:
            put_mark(image, 400, 200, 60)
    write_video(path, images, options={"crf": "18"})
    return path


def test_every_frame_is_looked_at(video: Path) -> None:
    done = []
    rows = detect_video(
        video, build_detector("bracket", BRACKET, PROFILE), progress=lambda *now: done.append(now)
    ).rows
    assert rows.columns.tolist() == VIDEO_COLUMNS
    assert rows["frame_index"].tolist() == [0, 1, 2, 3, 6, 7, 7, 8, 9, 10, 11]
    assert rows["x1"].to_numpy() == pytest.approx(
        [100, 105, 110, 115, 130, 135, 400, 140, 145, 150, 155], abs=1.5
    ) or rows["x1"].iloc[5:7].tolist() == pytest.approx([400, 135], abs=1.5)
    assert set(rows["video"]) == {"clip.mp4"}
    assert set(rows["detector"]) == {"bracket"}
    assert done[-1] == (12, 12)


def test_only_wanted_frames_are_looked_at(video: Path) -> None:
    rows = detect_video(video, build_detector("bracket", BRACKET, PROFILE), frames=[2, 4, 9]).rows
    assert rows["frame_index"].tolist() == [2, 9]


def test_missing_frames_are_named(video: Path) -> None:
    with pytest.raises(InputError, match=r"clip\.mp4: has no readable frame 12, 99"):
        detect_video(video, build_detector("bracket", BRACKET, PROFILE), frames=[3, 12, 99])


def test_nothing_found_is_a_table_without_rows(video: Path, tmp_path: Path) -> None:
    detector = build_detector("bracket", BRACKET, Profile(name="none"))
    assert detect_video(video, detector).rows.columns.tolist() == VIDEO_COLUMNS
    rows = detect_frames("clip", [(0, sky())], [detector]).rows
    write_table(rows, DETECTIONS, tmp_path / "empty.parquet")
    assert len(rows) == 0


def test_rows_fit_the_table_and_are_numbered_by_confidence(tmp_path: Path) -> None:
    image = sky()
    put_mark(image, 100, 80, 50)
    put_mark(image, -20, 250, 60)
    rows = detect_frames("clip", [(3, image)], [build_detector("bracket", BRACKET, PROFILE)]).rows
    write_table(rows, DETECTIONS, tmp_path / "clip.parquet")
    assert rows["detection_id"].tolist() == [0, 1]
    assert rows["confidence"].is_monotonic_decreasing
    assert rows["visible_corners"].tolist() == [4, 2]
    assert rows["x1"].min() >= 0


def test_less_confident_ones_are_left_out() -> None:
    image = sky()
    put_mark(image, -20, 250, 60)
    detectors = [
        build_detector("bracket", BracketSettings(min_confidence=least), PROFILE) for least in (0.1, 0.99)
    ]
    assert [len(detect_frames("c", [(0, image)], [detector]).rows) for detector in detectors] == [1, 0]


@pytest.mark.parametrize("confidence", [0.006, 0.3], ids=["as of YOLO-World", "as of Grounding DINO"])
def test_a_detector_decides_itself_what_is_sure_enough(confidence: float) -> None:
    detector = Fixed("low", (10, 10, 50, 50, confidence))
    rows = detect_frames("c", [(0, sky())], [detector]).rows
    assert rows["confidence"].tolist() == pytest.approx([confidence])


@pytest.mark.parametrize(
    ("kind", "least"), [("bracket", 0.5), ("yolo", 0.25), ("yolo_world", 0.005), ("zero_shot", 0.25)]
)
def test_each_kind_has_a_threshold_of_its_own(kind: str, least: float) -> None:
    assert settings_of(kind, {}).min_confidence == least


def test_bills_come_with_the_rows() -> None:
    silent, talks = Fixed("silent"), Fixed("talks")
    talks.cost = Cost(answers=12, invalid=2, retries=1, tokens_in=3400, tokens_out=560, money=0.25)
    detected = detect_frames("c", [(0, sky())], [silent, talks])
    assert detected.notes() == {
        "bills": {
            "talks": {
                "answers": 12,
                "invalid": 2,
                "tokens_in": 3400,
                "tokens_out": 560,
                "money": 0.25,
            }
        }
    }
    words = bill_in_words("talks", detected.bills["talks"])
    assert "12 answers, 2 of them invalid, 3,400 input and 560 output tokens, worth $0.2500" in words
    assert "price unknown" in bill_in_words("talks", bill(Cost(answers=1, money=float("nan"))))


def test_invalid_boxes_are_dropped_and_reported() -> None:
    nan, height, width = float("nan"), *sky().shape[:2]
    mad = Fixed(
        "mad", (10, 10, 50, 50, 0.9), (nan, 10, 50, 50, 0.8), (50, 10, 10, 50, 0.7), (10, 10, 50, 50, nan)
    )
    large = Fixed("large", (-20.0, -20.0, width + 20.0, height + 20.0, 0.5))
    detected = detect_frames("c", [(7, sky())], [mad, large])
    rows = detected.rows
    assert rows[BOX].to_numpy().tolist() == [[10, 10, 50, 50], [0, 0, width, height]]
    reason = detected.unanswered[7]["mad"]
    assert "2 of 4 boxes were not finite" in reason
    assert "1 of 2 boxes were empty, outside the image" in reason


def test_unknown_detector_lists_the_known() -> None:
    with pytest.raises(InputError, match="no detector named 'brackets'; expected one of mine, bracket, yolo"):
        settings_of("brackets", {"mine": BRACKET})


def test_images_stay_as_they_are() -> None:
    image = sky()
    put_mark(image, 100, 80, 50)
    before = image.copy()
    build_detector("bracket", BRACKET, PROFILE).detect([image])
    assert np.array_equal(image, before)
