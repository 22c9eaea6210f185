"""Tracks and Label Studio's video rectangles: geometry, round trips, and frame numbers of a clip."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.labels.followed import (
    KeyFrame,
    Track,
    TrackedVideo,
    TrackReview,
    frame_rows,
    merged,
    read_tracked,
    write_tracked,
)
from gotowce_dagster.review.regions import Size, pixel_box
from gotowce_dagster.review.video_objects import (
    read_regions,
    refuse_variable_rate,
    tracks_of,
    video_regions,
    write_truth,
)
from gotowce_dagster.video.decode import VideoInfo, probe, read_frames
from gotowce_dagster.video.encode import write_video

FRAMES, SIZE = 60, Size(320, 180)
INFO = VideoInfo(SIZE.width, SIZE.height, 25.0, FRAMES, FRAMES / 25, "h264", "yuv420p", False)


def rows_of(frames: list[int], boxes: Any, name: str = "0/0") -> pd.DataFrame:
    table = pd.DataFrame(np.asarray(boxes, float).reshape(-1, 4), columns=BOX)
    return table.assign(frame_index=frames, object_id=name, class_name="ship")


def key(frame: int, x: float, goes_on: bool = True) -> KeyFrame:
    return KeyFrame(frame_index=frame, box=(x, 10, x + 20, 30), goes_on=goes_on)


def track(*keys: KeyFrame, name: str = "0/0") -> Track:
    return Track(object_id=name, class_name="ship", key_frames=keys)


paths = st.lists(
    st.tuples(st.integers(0, FRAMES - 1), st.floats(0, 250), st.floats(0, 120), st.floats(1, 60)),
    min_size=1,
    max_size=40,
    unique_by=lambda point: point[0],
).map(sorted)
keyed = st.lists(
    st.tuples(st.integers(0, FRAMES - 1), st.floats(0, 300), st.booleans()),
    min_size=1,
    max_size=12,
    unique_by=lambda point: point[0],
).map(lambda points: track(*(key(*point) for point in sorted(points))))


@given(paths, st.floats(0, 20))
def test_no_box_error_exceeds_the_tolerance(path: list, tolerance: float) -> None:
    frames = [frame for frame, *_ in path]
    rows = rows_of(frames, [(x, y, x + side, y + side / 2) for _, x, y, side in path])
    # No other frame was sampled: one object through all of them.
    (found,) = tracks_of(rows, frames, tolerance)
    back = frame_rows([found], FRAMES).set_index("frame_index")
    assert np.abs(back.loc[frames, BOX].to_numpy() - rows[BOX].to_numpy()).max() <= tolerance + 1e-9
    assert back.index.tolist() == list(range(frames[0], frames[-1] + 1))
    assert len(found.key_frames) <= len(frames)


@given(st.lists(paths, min_size=1, max_size=3))
def test_round_trip_keeps_every_frame(objects: list) -> None:
    """Without tolerance and with every frame sampled: exactly the frames in which it was seen."""
    rows = pd.concat(
        [
            rows_of([p[0] for p in path], [(x, y, x + side, y + side) for _, x, y, side in path], f"0/{n}")
            for n, path in enumerate(objects)
        ],
        ignore_index=True,
    )
    tracks = tracks_of(rows, range(FRAMES), 0)
    back = frame_rows(read_regions(video_regions(tracks, INFO), SIZE, FRAMES), FRAMES)
    sort = ["frame_index", "object_id"]
    wanted = rows.sort_values(sort, ignore_index=True)
    assert back[sort].values.tolist() == wanted[sort].values.tolist()
    # Boxes are clipped to the frame, like all that we push.
    clipped = wanted[BOX].clip(0, [SIZE.width, SIZE.height] * 2, axis=1).to_numpy()
    assert np.abs(back[BOX].to_numpy() - clipped).max() < 1e-9


@given(keyed)
def test_lifespans_and_interpolation_match_label_studio(one: Track) -> None:
    """The same frames and boxes as Label Studio's own export of every frame."""
    from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import extract_key_frames

    region = video_regions([one], INFO)[0]
    theirs: dict[int, dict] = {k["frame"]: k for k in region["value"]["sequence"]}
    (read,) = extract_key_frames([region])
    theirs |= {k["frame"]: k for k in read["value"]["sequence"]}
    ours = frame_rows(read_regions([region], SIZE, FRAMES), FRAMES)
    assert [frame + 1 for frame in ours["frame_index"]] == sorted(theirs)
    boxes = np.array([pixel_box(theirs[frame], SIZE) for frame in sorted(theirs)])
    assert np.abs(ours[BOX].to_numpy() - boxes).max() < 1e-6


@pytest.mark.parametrize(
    ("keys", "frames", "what"),
    [
        ([key(3, 0), key(6, 30, False)], [3, 4, 5, 6], "to the last key frame and no farther"),
        ([key(57, 0)], [57, 58, 59], "one that goes on stays to the end"),
        ([key(2, 0, False)], [2], "a single frame"),
        ([key(1, 0, False), key(8, 0), key(9, 0, False)], [1, 8, 9], "gone between two lives"),
        ([key(59, 0)], [59], "the last frame"),
    ],
)
def test_frames_of_an_object(keys: list[KeyFrame], frames: list[int], what: str) -> None:
    assert frame_rows([track(*keys)], FRAMES)["frame_index"].tolist() == frames, what


def test_boxes_are_interpolated_linearly() -> None:
    rows = frame_rows([track(key(0, 0), key(4, 40, False))], FRAMES)
    assert rows["x1"].tolist() == [0, 10, 20, 30, 40]


def test_straight_motion_needs_two_key_frames_and_a_bend_one_more() -> None:
    frames = list(range(0, 41, 2))
    x = [min(frame, 40 - frame) for frame in frames]
    rows = rows_of(frames, [(a, 10, a + 20, 30) for a in x])
    (found,) = tracks_of(rows, frames, 0.5)
    assert [(k.frame_index, k.goes_on) for k in found.key_frames] == [(0, True), (20, True), (40, False)]


def test_a_sampled_frame_without_the_object_ends_its_run() -> None:
    rows = rows_of([0, 5, 10, 20, 25], [(5, 5, 9, 9)] * 5)
    lost = rows.assign(**dict.fromkeys(BOX, np.nan), frame_index=[1, 6, 15, 21, 26])
    (found,) = tracks_of(pd.concat([rows, lost.iloc[[2]]]), range(0, 60, 5), 1.0)
    assert [(k.frame_index, k.goes_on) for k in found.key_frames] == [
        (0, True),
        (10, False),
        (20, True),
        (25, False),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": []}, "no class"),
        ({"sequence": [{"frame": 0, "x": 1, "y": 1, "width": 1, "height": 1}]}, "count from 1"),
    ],
)
def test_an_invalid_region_is_refused(change: dict[str, Any], words: str) -> None:
    (region,) = video_regions([track(key(0, 0))], INFO)
    with pytest.raises(ValueError, match=words):
        read_regions([region | {"value": region["value"] | change}], SIZE, FRAMES)


def test_key_frames_after_the_end_are_left_out() -> None:
    (region,) = video_regions([track(key(50, 0), key(59, 9))], INFO)
    (found,) = read_regions([region], SIZE, 55)
    assert [k.frame_index for k in found.key_frames] == [50]


def numbered(number: int) -> np.ndarray:
    """A frame that shows its own number, from 0, and a square whose position encodes it too."""
    picture = np.full((SIZE.height, SIZE.width, 3), 40, np.uint8)
    cv2.putText(picture, f"{number:03d}", (8, 60), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 4)
    x1, y1, x2, y2 = np.array(box_in(number)).astype(int)
    picture[y1:y2, x1:x2] = (240, 80, 40)
    return picture


def box_in(number: int) -> tuple[float, float, float, float]:
    return 10.0 + 4 * number, 100.0, 40.0 + 4 * number, 130.0


def number_in(picture: np.ndarray) -> int:
    """Read the number burnt into a frame, by template matching of its digits."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:80]
    alike = [
        cv2.matchTemplate(
            grey, cv2.cvtColor(numbered(n), cv2.COLOR_RGB2GRAY)[:80], cv2.TM_CCOEFF_NORMED
        ).item()
        for n in range(FRAMES)
    ]
    return int(np.argmax(alike))


@pytest.mark.parametrize(("fps", "suffix"), [(25, "mp4"), (30000 / 1001, "mkv"), (60, "mp4")])
def test_frame_numbers_are_those_burnt_into_the_clip(tmp_path: Path, fps: float, suffix: str) -> None:
    path = tmp_path / f"numbers.{suffix}"
    write_video(path, (numbered(n) for n in range(FRAMES)), fps=fps)
    info = probe(path)
    refuse_variable_rate(path, info)
    # As a reviewer draws it in Label Studio, whose first frame is 1: the clip's frames 10, 30 and 50.
    sequence = [
        {
            "frame": shown + 1,
            "enabled": shown != 50,
            "rotation": 0,
            "x": 100 * x1 / SIZE.width,
            "y": 100 * y1 / SIZE.height,
            "width": 100 * (x2 - x1) / SIZE.width,
            "height": 100 * (y2 - y1) / SIZE.height,
        }
        for shown in (10, 30, 50)
        for x1, y1, x2, y2 in [box_in(shown)]
    ]
    region = {"id": "r", "type": "videorectangle", "value": {"labels": ["ship"], "sequence": sequence}}
    rows = frame_rows(read_regions([region], SIZE, info.frames), info.frames).set_index("frame_index")
    assert rows.index.tolist() == list(range(10, 51))
    for frame in read_frames(path, [10, 11, 29, 30, 31, 50]):
        number = number_in(frame.rgb())
        assert number == frame.index
        x1, y1, x2, y2 = rows.loc[frame.index, BOX].to_numpy(float)
        assert (x1, y1, x2, y2) == pytest.approx(box_in(number))
        inside = frame.rgb()[round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2]
        assert inside[..., 0].min() > 180, "the box is where the picture shows it"
        # A browser shows the frame at the time of Label Studio's frame number.
        assert frame.time_s == pytest.approx(frame.index / info.fps, abs=0.1 / info.fps)


def test_a_variable_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mp4"
    times = np.cumsum([0.04, 0.04, 0.2] * 5)
    write_video(path, (numbered(n) for n in range(15)), times_s=times)
    with pytest.raises(InputError, match=r"uneven.mp4: variable frame rate.*cfr"):
        refuse_variable_rate(path, probe(path))


def review(name: str, task: str = "1/1@t", minute: int = 0, **changes: Any) -> TrackReview:
    values = {"review_id": name, "task": task, "annotator": 1, "at": f"2026-01-01T00:{minute:02d}:00Z"}
    return TrackReview.model_validate(
        values | {"state": "done", "tracks": [track(key(0, 1.25), key(5, 7, False))]} | changes
    )


def tracked(*reviews: TrackReview) -> TrackedVideo:
    return TrackedVideo(
        video="duel", frames=FRAMES, width=SIZE.width, height=SIZE.height, fps=25, reviews=reviews
    )


def test_deleted_reviews_are_withdrawn_and_the_newest_counts() -> None:
    elsewhere = review("a", task="2/9@u", minute=1)
    known = tracked(elsewhere, review("b", minute=2), review("c", minute=3))
    now = merged(known, tracked(review("b", minute=2), review("d", minute=4, state="skipped")), "1/1@t")
    states = {r.review_id: r.state for r in now.reviews}
    assert states == {"a": "done", "b": "done", "c": "withdrawn", "d": "skipped"}
    assert now.decision is not None
    assert now.decision.review_id == "b"


def test_the_file_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "tracks" / "duel.json"
    assert read_tracked(path) is None
    write_tracked(path, tracked(review("a")))
    assert read_tracked(path) == tracked(review("a"))
    path.write_text("{}")
    with pytest.raises(InputError, match=r"duel.json: not readable as tracks"):
        read_tracked(path)


def test_tracks_as_ground_truth(tmp_path: Path) -> None:
    path = tmp_path / "duel.csv"
    rows = frame_rows([track(key(0, 0), key(10, 20, False)), track(key(5, 90, False), name="r")], FRAMES)
    assert write_truth(path, "duel", rows, [0, 5, 30]) == 3
    truth = read_truth(path)
    assert truth[["clip", "frame_index", "x1", "label"]].values.tolist() == [
        ["duel", 0, 0.0, "object"],
        ["duel", 5, 10.0, "object"],
        ["duel", 5, 90.0, "object"],
    ]
    with pytest.raises(InputError, match="exists already"):
        write_truth(path, "duel", rows, [0])
