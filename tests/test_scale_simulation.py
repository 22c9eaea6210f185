"""The simulation of many videos on many workers agrees with what can be computed by hand."""

from typing import Any

import pytest

from benchmarks.scale import cost_per_1000_hours, simulate


def settings(**changes: Any) -> dict[str, Any]:
    """Settings without any overhead: two stages of 40 and 60 seconds."""
    return {
        "video": {"mb": 0, "results_mb": 0},
        "stages": {"one": 40, "two": 60},
        "worker": {"run_start_s": 0, "stage_s": 0},
        "driver": {"launch_s": 0, "event_s": 0, "events_per_stage": 3, "tick_s": 15, "sync_s_per_video": 0},
        "storage": {"mb_s": 100, "worker_mb_s": 10},
        **changes,
    }


@pytest.mark.parametrize(
    ("videos", "workers", "seconds", "efficiency"),
    [(1, 1, 100, 1.0), (10, 1, 1000, 1.0), (10, 5, 200, 1.0), (10, 4, 300, 10 / 12), (3, 64, 100, 1.0)],
    ids=["one", "one after another", "shared equally", "a last round of two", "more workers than videos"],
)
def test_without_overhead(videos: int, workers: int, seconds: float, efficiency: float) -> None:
    result = simulate(settings(), videos, workers)
    assert result is not None
    assert (result.makespan_s, result.run_overhead) == (seconds, 0)
    assert result.efficiency == pytest.approx(efficiency)


def test_what_a_worker_does_besides_is_overhead_of_the_run() -> None:
    result = simulate(settings(worker={"run_start_s": 5, "stage_s": 10}), 2, 2)
    assert result is not None
    assert (result.makespan_s, result.run_overhead) == (125, pytest.approx(0.2))


def test_the_storage_limits_one_worker_and_all_together() -> None:
    sizes = {"mb": 1000, "results_mb": 0}
    alone = simulate(settings(video=sizes), 1, 1)
    assert alone is not None
    assert alone.makespan_s == 200, "1,000 MB at 10 MB/s"
    many = simulate(settings(video=sizes), 64, 64)
    assert many is not None
    assert many.makespan_s == 740, "64,000 MB at 100 MB/s, then the last one's stages"


def test_a_driver_that_launches_slowly_limits_all() -> None:
    driver = {"launch_s": 10, "event_s": 0, "events_per_stage": 0, "tick_s": 15, "sync_s_per_video": 0}
    result = simulate(settings(driver=driver), 100, 64)
    assert result is not None
    assert result.makespan_s == 1100, "a launch each 10 s, then the last one's stages"
    assert result.driver == pytest.approx(1000 / 1100)


def test_sensors_that_look_at_all_videos_slow_the_driver_until_it_does_nothing_else() -> None:
    driver = {"launch_s": 10, "event_s": 0, "events_per_stage": 0, "tick_s": 15, "sync_s_per_video": 0.075}
    result = simulate(settings(driver=driver), 100, 64)
    assert result is not None
    assert result.makespan_s == pytest.approx(2100), "half of its time"
    assert simulate(settings(driver=driver), 200, 64) is None


def test_cost() -> None:
    assert cost_per_1000_hours({"price": 2.0, "hours": 0.5}, overhead=0.5) == 2000
