"""What many videos cost on many workers, by simulation: python benchmarks/scale.py [SETTINGS.yaml]

One run is one video on one worker with one GPU. Before it starts, the driver launches it; then the worker
fetches the video, runs each stage and its bookkeeping, and pushes the results. The driver is one process on
one core: it launches runs, records the events of stages, and looks at all videos at every tick of its
sensors. The storage serves all workers. Both serve in the order of asking. Nothing fails and all videos are
equal, so a real cluster does no better. The inputs, with their origin, are in scale.yaml.
"""

import argparse
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import yaml

SETTINGS = Path(__file__).with_suffix(".yaml")


@dataclass
class Server:
    """Something that serves one request after another."""

    free_at: float = 0.0
    busy_s: float = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """Serve a request that comes now; returns when it is done."""
        self.free_at = max(self.free_at, now) + seconds
        self.busy_s += seconds
        return self.free_at


@dataclass(frozen=True)
class Result:
    """What a simulation gives, in seconds and shares of 1."""

    makespan_s: float
    efficiency: float
    """Work of the stages by the time of all workers that could have had any."""
    run_overhead: float
    """Of a run, the median share that is no work of a stage."""
    driver: float
    """Share of the time in which the driver is busy."""
    storage: float


@dataclass
class _Run:
    start_s: float
    steps: Iterator[tuple[str, float]] = field(repr=False)


def simulate(settings: dict[str, Any], videos: int, workers: int) -> Result | None:
    """Label videos on a number of workers; None if the sensors alone keep the driver busy."""
    driver_s, worker, storage_s = settings["driver"], settings["worker"], settings["storage"]
    ticking = driver_s["sync_s_per_video"] * videos / driver_s["tick_s"]
    if ticking >= 1:
        return None
    slower = 1 / (1 - ticking)
    stages, sizes = settings["stages"], settings["video"]
    driver, storage = Server(), Server()
    events_s = driver_s["event_s"] * driver_s["events_per_stage"] * slower

    def steps() -> Iterator[tuple[str, float]]:
        yield "driver", driver_s["launch_s"] * slower
        yield "worker", worker["run_start_s"]
        yield "storage", sizes["mb"]
        for seconds in stages.values():
            yield "worker", seconds + worker["stage_s"]
            yield "events", events_s
        yield "storage", sizes["results_mb"]

    order, waiting, ends, spans = count(), videos, 0.0, list[float]()
    ahead: list[tuple[float, int, _Run]] = []

    def begin(now: float) -> None:
        nonlocal waiting
        if waiting:
            waiting -= 1
            heapq.heappush(ahead, (now, next(order), _Run(now, steps())))

    for _ in range(min(workers, videos)):
        begin(0.0)
    while ahead:
        now, _, run = heapq.heappop(ahead)
        step = next(run.steps, None)
        if step is None:
            ends = max(ends, now)
            spans.append(now - run.start_s)
            begin(now)
            continue
        what, amount = step
        match what:
            case "driver":
                then = driver.serve(now, amount)
            case "storage":
                # As fast as one worker can, and not before the storage has served those who came first.
                done = storage.serve(now, amount / storage_s["mb_s"])
                then = max(done, now + amount / storage_s["worker_mb_s"])
            case "events":
                driver.serve(now, amount)
                then = now
            case _:
                then = now + amount
        heapq.heappush(ahead, (then, next(order), run))
    makespan = max(ends, driver.free_at)
    work = sum(stages.values())
    spans.sort()
    return Result(
        makespan,
        efficiency=videos * work / (makespan * min(workers, videos)),
        run_overhead=1 - work / spans[len(spans) // 2],
        driver=driver.busy_s / slower / makespan + ticking,
        storage=storage.busy_s / makespan,
    )


def cost_per_1000_hours(gpu: dict[str, Any], overhead: float) -> float:
    """Price of labelling 1,000 hours of video, with the share of the time that is no work."""
    return 1000 * gpu["hours"] * gpu["price"] / (1 - overhead)


def tables(settings: dict[str, Any]) -> Iterator[str]:
    """The results as lines of Markdown."""
    yield "| videos | workers | hours | efficiency | overhead of a run | driver busy | storage busy |"
    yield f"|{' --- |' * 7}"
    for videos in settings["videos"]:
        for workers in settings["workers"]:
            if workers > videos:
                continue
            if (result := simulate(settings, videos, workers)) is None:
                yield f"| {videos:,} | {workers} | the sensors keep the driver busy | | | | |"
                continue
            yield (
                f"| {videos:,} | {workers} | {result.makespan_s / 3600:,.1f} | {result.efficiency:.2f} "
                f"| {result.run_overhead:.1%} | {result.driver:.1%} | {result.storage:.1%} |"
            )
    alone = simulate(settings, 1, 1)
    assert alone is not None, "one video does not keep the driver busy"
    yield ""
    yield "| GPU | $ an hour | of | hours for an hour of video | $ for 1,000 hours of video |"
    yield f"|{' --- |' * 5}"
    for gpu in settings["gpus"]:
        cost = cost_per_1000_hours(gpu, alone.run_overhead)
        yield f"| {gpu['name']} | {gpu['price']} | {gpu['date']} | {gpu['hours']} | {cost:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path, nargs="?", default=SETTINGS)
    settings = yaml.safe_load(parser.parse_args().settings.read_text(encoding="utf-8"))
    for line in tables(settings):
        print(line)


if __name__ == "__main__":
    main()
