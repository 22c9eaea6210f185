"""Joining propagated with detected masks, and selecting the frames to visit."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import DETECTIONS, MASKS, PROPAGATED, empty, write_table
from gotowce_dagster.propagation.video import join, trust, visited
from gotowce_dagster.video.decode import VideoInfo
from tests.shipped import masks_params

SIZE = 100, 60
MARK = (10.0, 10.0, 40.0, 40.0)


def mask_row(box: tuple[int, int, int, int] | None) -> dict[str, object]:
    width, height = SIZE
    common = {"height": height, "width": width, "predicted_iou": 0.9, "stability": 0.9}
    if box is None:
        return common | {"rle": None, "area_px": 0}
    mask = np.zeros((height, width), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return (
        common
        | dict(zip(BOX, map(float, box), strict=True))
        | {
            "rle": rle.encode(mask),
            "area_px": int(mask.sum()),
        }
    )


def detection(frame: int, number: int = 0, box=MARK) -> dict[str, object]:
    found = {"confidence": 0.9, "class_name": "ship", "detector": "bracket", "prompt": "hostile"}
    sides = dict(zip(BOX, box, strict=True))
    return {
        "video": "v",
        "frame_index": frame,
        "detection_id": number,
        "visible_corners": 4,
        **sides,
        **found,
    }


def own(frame: int, box=(20, 20, 30, 30), number: int = 0, **changes: object) -> dict[str, object]:
    named = {"object_id": "0/0", "class_name": "ship", "segmenter": "sam2", "prompt": "point@3"}
    measures = {"fill": 0.1, "inside": 1.0, "mark_overlap": 0.0, "agreement": 0.9, "trust": 0.9}
    return {"frame_index": frame, "detection_id": number, **named, **mask_row(box), **measures, **changes}


def propagated(
    frame: int, box=(21, 20, 31, 30), state: str = "sure", number: float = np.nan, **changes: object
):
    named = {"object_id": "0/0", "class_name": "ship", "prompt": "propagated", "segmenter": "tracker"}
    measures = {"area_change": 0.8, "motion": 0.7, "appearance": 0.6, "detected": np.nan, "state": state}
    return {"frame_index": frame, "detection_id": number, **named, **mask_row(box), **measures, **changes}


def joined(tmp_path, masks: list[dict], detections: list[dict], propagated_rows: list[dict]) -> pd.DataFrame:
    marks = pd.DataFrame(detections, columns=DETECTIONS.names) if detections else empty(DETECTIONS)
    columns = [*(name for name in MASKS.names if name != "video"), "trust"]
    rows = join(
        pd.DataFrame(masks, columns=columns),
        marks,
        pd.DataFrame(propagated_rows, columns=[*PROPAGATED.names, "segmenter"]),
        masks_params(),
    )
    write_table(rows.assign(video="v"), MASKS, tmp_path / "masks.parquet")
    return rows


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        (own(4), propagated(4, number=0), ("sam2", 20, "sure")),
        (own(4), propagated(4, number=0, state="doubtful"), ("sam2", 20, "doubtful")),
        (own(4, trust=0.1), propagated(4, number=0), ("tracker", 21, "sure")),
        (own(4, trust=0.1), propagated(4, number=0, state="doubtful"), ("sam2", 20, "doubtful")),
        (own(4, trust=0.1), propagated(4, None, number=0, state="lost"), ("sam2", 20, "doubtful")),
        (own(4), None, ("sam2", 20, "sure")),
        (own(4, trust=0.1), None, ("sam2", 20, "doubtful")),
    ],
    ids=[
        "both good: its own", "propagated in doubt", "only the propagated is good", "neither is good",
        "bad and lost", "not tracked", "bad and not tracked",
    ],
)  # fmt: skip
def test_selected_mask_of_a_detection(tmp_path, mine: dict, other: dict | None, expected: tuple) -> None:
    rows = joined(tmp_path, [mine], [detection(4)], [other] if other else [])
    assert [*rows.loc[0, ["segmenter", "x1", "state"]]] == list(expected)
    assert len(rows) == 1
    assert rows["detection_id"][0] == 0


def test_propagated_mask_is_measured_on_the_designator(tmp_path) -> None:
    rows = joined(tmp_path, [own(4, trust=0.1)], [detection(4)], [propagated(4, (5, 20, 25, 30), number=0)])
    assert rows.loc[0, ["fill", "inside"]].tolist() == pytest.approx([200 / 900, 0.75])
    assert pd.isna(rows["agreement"][0])


def test_detection_without_a_mask_gets_the_propagated_mask_inside_it(tmp_path) -> None:
    marks = [detection(4), detection(4, 1, (50.0, 10.0, 80.0, 40.0))]
    rows = joined(tmp_path, [own(4)], marks, [propagated(4, (60, 20, 70, 30), object_id="0/1")])
    assert rows[["detection_id", "object_id", "inside"]].to_numpy().tolist() == [[0, "0/0", 1], [1, "0/1", 1]]


def test_objects_without_a_detection_are_numbered_after_detections(tmp_path) -> None:
    rows = joined(
        tmp_path,
        [own(4)],
        [detection(4), detection(6)],
        [
            propagated(4, (60, 20, 70, 30), object_id="0/1"),
            propagated(4, None, "lost", object_id="0/2"),
            propagated(5, object_id="0/0"),
            propagated(6, (60, 20, 70, 30), object_id="0/1"),
        ],
    )
    keys = rows[["frame_index", "detection_id", "object_id"]].to_numpy().tolist()
    assert keys == [[4, 0, "0/0"], [4, 1, "0/1"], [4, 2, "0/2"], [5, 0, "0/0"], [6, 1, "0/1"]]
    assert rows["rle"].isna().tolist() == [False, False, True, False, False]
    assert rows["inside"].notna().tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.9),
        ({"stability": 0.4}, 0.4),
        ({"agreement": np.nan, "stability": np.nan}, 1.0),
        ({"mark_overlap": 0.7}, 0.3),
        ({"fill": 0.8}, 0.4),
        ({"fill": 1.6}, 0.0),
        ({"inside": 0.2}, 0.2),
    ],
    ids=["all good", "unstable", "unknown", "on the mark", "fills the designator", "beyond it", "outside"],
)
def test_trust_is_the_weakest_measure(changes: dict, expected: float) -> None:
    assert trust(pd.DataFrame([own(0, **changes)]))[0] == pytest.approx(expected)


def film(count: int, fps: float = 30.0) -> VideoInfo:
    return VideoInfo(320, 180, fps, count, count / fps, "h264", "yuv420p", False)


def test_frames_between_two_shots_are_left_out() -> None:
    frames = pd.DataFrame({"frame_index": [0, 15, 30, 45], "shot": [0, 0, 1, 1]})
    rows = visited(frames, film(55), 10.0, pd.Series([7, 22, 31]))
    assert rows["frame_index"].tolist() == [0, 3, 6, 7, 9, 12, 15, 30, 31, 33, 36, 39, 42, 45, 48, 51, 54]
    assert rows["shot"].tolist() == [0] * 7 + [1] * 10


@given(
    sampled=st.lists(st.integers(0, 499), min_size=1, max_size=40, unique=True).map(sorted),
    prompted=st.lists(st.integers(0, 499), max_size=5),
    fps=st.floats(0.5, 60),
    cuts=st.lists(st.integers(1, 499), max_size=3),
)
def test_visited_frames_include_all_sampled_frames_in_order(sampled, prompted, fps, cuts) -> None:
    shots = np.searchsorted(sorted(cuts), sampled, side="right")
    frames = pd.DataFrame({"frame_index": sampled, "shot": shots})
    rows = visited(frames, film(500), fps, pd.Series(prompted, dtype=int))
    indices = rows["frame_index"]
    assert set(sampled) <= set(indices)
    assert indices.is_monotonic_increasing
    assert indices.is_unique
    assert rows["shot"].is_monotonic_increasing
    assert rows.set_index("frame_index")["shot"].loc[sampled].tolist() == shots.tolist()
    if len(set(shots)) == 1:
        assert set(prompted) <= set(indices)
        assert indices.diff().max() <= max(1, round(30 / fps))


def test_a_video_without_sampled_frames_is_not_visited() -> None:
    assert visited(pd.DataFrame({"frame_index": [], "shot": []}), film(10), 10.0, pd.Series([3])).empty
