"""The measuring process, run in this process."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gotowce_dagster.comparison.job import Job, Limits
from gotowce_dagster.comparison.worker import measure
from gotowce_dagster.core.errors import GotowceError
from tests.comparison.jobs import MANY, job
from tests.comparison.rogues import BOX


def events(kind: str, made: list[dict]) -> list[dict]:
    return [event for event in made if event["event"] == kind]


def test_a_good_detector(tmp_path: Path) -> None:
    made = list(measure(job(tmp_path, "good")))
    (loaded,) = events("loaded", made)
    assert loaded["device"] == "cpu"
    assert loaded["warm_up_s"] > 0
    frames = events("frame", made)
    assert [frame["frame_index"] for frame in frames] == [0, 1, 2]
    assert frames[0]["boxes"] == [[*BOX, 0.9, "ship", ""]]
    assert all(0 < frame["seconds"] < 1 and frame["memory_mb"] > 20 for frame in frames)


def test_a_failing_frame_does_not_stop_the_others(tmp_path: Path) -> None:
    frames = events("frame", list(measure(job(tmp_path, "stumbles"))))
    assert [frame.get("error") for frame in frames] == [None, "ValueError: this one is too dark", None]
    assert "seconds" not in frames[1]


def test_invalid_boxes_are_left_out_and_counted(tmp_path: Path) -> None:
    frame, *_ = events("frame", list(measure(job(tmp_path, "rubbish"))))
    assert [box[:4] for box in frame["boxes"]] == [BOX]
    assert frame["dropped"] == 2


def test_fewer_results_than_images_is_an_error_of_that_frame(tmp_path: Path) -> None:
    frames = events("frame", list(measure(job(tmp_path, "silent"))))
    assert {frame["error"] for frame in frames} == {"ValueError: 0 results for 1 images"}


def test_it_is_rebuilt_for_every_profile(tmp_path: Path) -> None:
    made = list(measure(job(tmp_path, "profiled", 2, profiles=("a", "b"))))
    assert [frame["boxes"][0][5] for frame in events("frame", made)] == ["a", "a", "b", "b"]
    assert len(events("loaded", made)) == 1


def test_money_is_counted_and_a_budget_stops_it(tmp_path: Path) -> None:
    made = []
    with pytest.raises(GotowceError, match="the budget is spent"):
        made.extend(measure(job(tmp_path, "costs", 5, settings={"budget": 0.8})))
    frames = events("frame", made)
    assert [frame["cost"]["money"] for frame in frames] == [0.25, 0.5, 0.75]
    assert frames[-1]["cost"] | {"frames": 0, "seconds": 0, "retries": 0, "tokens_out": 0} == {
        "frames": 0, "seconds": 0, "answers": 3, "invalid": 1, "retries": 0,
        "tokens_in": 300, "tokens_out": 0, "money": 0.75,
    }  # fmt: skip
    assert events("loaded", made)[0]["warm_up_s"] is None


def test_a_second_profile_does_not_give_a_second_budget(tmp_path: Path) -> None:
    spent = []
    with pytest.raises(GotowceError, match="the budget is spent"):
        for event in measure(job(tmp_path, "costs", 2, profiles=("a", "b"), settings={"budget": 0.8})):
            spent.append(event.get("cost", {}).get("money"))
    assert spent == [None, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("rogue", "limits", "sizes"),
    [
        ("good", MANY, [1, 2, 4]),
        ("good", Limits(max_batch=5, batch_s=60, memory_mb=1e6), [1, 2, 4]),
        ("good", Limits(max_batch=4, batch_s=0, memory_mb=1e6), []),
        ("good", Limits(max_batch=4, batch_s=60, memory_mb=1), [1]),
        ("costs", MANY, []),
    ],
    ids=["all", "not a power of two", "no time", "no memory", "paid ones are asked once"],
)
def test_batch_sizes(tmp_path: Path, rogue: str, limits: Limits, sizes: list[int]) -> None:
    made = list(measure(job(tmp_path, rogue, 2, limits=limits, settings={"budget": 9})))
    batches = events("batch", made)
    assert [batch["size"] for batch in batches] == sizes
    assert all(batch["images_per_s"] > 0 for batch in batches)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"video": "../duel"}, "is a path"),
        ({"video": ".."}, "begins with a dot"),
        ({"file": "a/../../b.png"}, "leads out of its folder"),
        ({"profile": "../../p.toml"}, "leads out of its folder"),
        ({"frame_index": -1}, "greater than or equal to 0"),
        ({"designators": [[1, 2, float("nan"), 4]]}, "finite"),
    ],
    ids=["a path for a video", "dots", "a picture above", "a profile above", "before the start", "no number"],
)
def test_a_job_with_a_path_out_of_its_folder_is_refused(tmp_path: Path, changed: dict, message: str) -> None:
    good = job(tmp_path, "good", 1).model_dump(mode="json")
    Job.model_validate(good)
    with pytest.raises(ValidationError, match=message):
        Job.model_validate({**good, "pictures": [good["pictures"][0] | changed]})
