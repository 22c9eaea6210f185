"""Parallel efficiency and overhead of a Ray cluster on this machine: two nodes against one.

    python -m benchmarks.cluster [--videos 4] [--seconds 30]

A real PostgreSQL, S3, Ray head and one or two nodes with one logical GPU each, as `make test-cluster` starts
them; every stage of a video sleeps for the given seconds, so two nodes on one machine do not contend for
its cores. Wall time, from the first stage that begins to the last that ends. Needs what `make test-cluster`
installs.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.ratios import compare
from gotowce_dagster.cluster.records import OF_VIDEO
from tests.cluster.driver import STANDINS, Driver, StagesLog
from tests.cluster.machines import Machines, wait_until
from tests.conftest import ROOT

PATIENCE_S = 3600


def seconds_of(nodes: str, videos: int, stage_s: float) -> float:
    """Wall seconds in which these nodes label new videos."""
    folder = Path(tempfile.mkdtemp(prefix="gotowce_cluster_"))
    log = StagesLog(folder / "stages.jsonl")
    machines = Machines(
        folder,
        {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{STANDINS}",
            "STAGES_LOG": str(log.path),
            "SECONDS_OF_STAGES": json.dumps(dict.fromkeys(OF_VIDEO, stage_s)),
        },
    )
    driver = Driver(folder / "project", machines)
    try:
        machines.start_storage()
        machines.start_head()
        for name in nodes:
            machines.start_node(name)
        driver.make()
        os.environ.update(
            {name: driver.environment[name] for name in ("DAGSTER_HOME", "GOTOWCE_POSTGRES_URL")}
        )
        keys = driver.add(range(1, videos + 1))
        driver.start_daemon()
        wait_until(lambda: driver.are_done(keys), "all videos labelled", PATIENCE_S)
        begun, ended = log.events("begins"), log.events("ends")
        return max(e["at"] for e in ended) - min(e["at"] for e in begun)
    finally:
        machines.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30, help="of each stage")
    arguments = parser.parse_args()
    work = arguments.videos * len(OF_VIDEO) * arguments.seconds
    two = seconds_of("AB", arguments.videos, arguments.seconds)
    print(
        f"two nodes: {two:.0f} s for {work:.0f} s of work, {work / 2 / two:.2f} of the ideal; overhead of a "
        f"run {(two - work / 2) / (arguments.videos / 2):.1f} s",
        flush=True,
    )
    one = seconds_of("A", arguments.videos, arguments.seconds)
    print(f"one node: {one:.0f} s; parallel efficiency of two {one / 2 / two:.2f}", flush=True)
    compare("two nodes", two, one, against="one node", unit="s")


if __name__ == "__main__":
    main()
