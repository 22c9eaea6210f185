"""The driver of a cluster for tests: a project, its daemon, and what is known of its runs."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.intake.dvc_repo import DvcRepo
from tests.cluster.machines import BUCKET, Machines
from tests.conftest import ROOT
from tests.faults.project import environment, make_project
from tests.support.synthetic import Bracket, Scene, Target, write_scene

STANDINS = Path(__file__).parent / "standins"


@dataclass
class Driver:
    """A project on the driver's machine."""

    root: Path
    machines: Machines

    def make(self) -> None:
        """Write the project, with the shipped settings of a cluster and the remote."""
        make_project(self.root, self.root.parent / "films", videos=0)
        settings = self.root / ".dagster" / "dagster.yaml"
        settings.write_bytes((ROOT / "deploy" / "dagster.yaml").read_bytes())
        self.run("dvc", "remote", "add", "--default", "store", f"s3://{BUCKET}/project")
        self.run("dvc", "remote", "modify", "store", "endpointurl", self.machines.s3)

    @property
    def environment(self) -> dict[str, str]:
        """What the driver's processes have in their environment."""
        return (
            environment(self.root)
            | self.machines.environment
            | {
                "DAGSTER_HOME": str(self.root / ".dagster"),
                "GOTOWCE_ROOT": str(self.root),
                "PYTHONPATH": str(ROOT),
            }
        )

    def run(self, *words: str) -> str:
        """Run a command in the project; its output."""
        done = subprocess.run(
            words, cwd=self.root, env=self.environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def add(self, seeds: range) -> list[str]:
        """Add short videos; their keys. The sensor finds them, and has them labelled."""
        films = self.root.parent / "films"
        for seed in seeds:
            target = Target(start=(40, 50), velocity=(2, 1), bracket=Bracket())
            scene = Scene(targets=(target,), frames=60, size=(320, 180), seed=seed)
            write_scene(films / f"scene_{seed}.mp4", scene)
        self.run(
            sys.executable,
            "-m",
            "gotowce_dagster.cli.main",
            "add",
            *(str(films / f"scene_{n}.mp4") for n in seeds),
        )
        return [f"scene_{seed}" for seed in seeds]

    def start_daemon(self) -> None:
        """Start Dagster's daemon, which runs the sensors and launches runs."""
        command = ["dagster-daemon", "run", "-w", self.root / "workspace.yaml"]
        self.machines.start("driver", command, self.environment)

    def runs(self, videos: list[str]) -> list[dg.DagsterRun]:
        """The runs of videos, the latest first."""
        with dg.DagsterInstance.get() as instance:
            return [run for run in instance.get_runs() if run.tags.get("dagster/partition") in videos]

    def are_done(self, videos: list[str]) -> bool:
        """Whether the latest run of each video succeeded and is recorded in its dvc.lock."""
        latest = {run.tags["dagster/partition"]: run.status for run in reversed(self.runs(videos))}
        if [latest.get(video) for video in videos] != [dg.DagsterRunStatus.SUCCESS] * len(videos):
            return False
        return all(len(self.entries(video)) == 4 for video in videos)

    def entries(self, video: str) -> dict[str, Any]:
        """What dvc.lock records of a video."""
        return dict(DvcRepo(self.root).entries_in(f"videos/{video}"))

    @property
    def paths(self) -> Paths:
        return Paths(self.root)


@dataclass(frozen=True)
class StagesLog:
    """When which node began and ended which stage of which video; tests/cluster/standins writes it."""

    path: Path

    def events(self, what: str) -> list[dict[str, Any]]:
        """The lines of one kind: ``begins`` or ``ends``."""
        if not self.path.exists():
            return []
        lines = (json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["what"] == what]

    def begun(self, videos: list[str]) -> Counter[tuple[str, str]]:
        """How often each stage of each video began."""
        return Counter((e["stage"], e["video"]) for e in self.events("begins") if e["video"] in videos)

    def node_of(self, stage: str, video: str) -> str:
        """The node that ended a stage."""
        return next(e["node"] for e in self.events("ends") if (e["stage"], e["video"]) == (stage, video))

    def begun_on(self, node: str, stage: str, videos: list[str]) -> str | None:
        """The first of these videos whose stage began on a node."""
        begun = (e for e in self.events("begins") if (e["node"], e["stage"]) == (node, stage))
        return next((e["video"] for e in begun if e["video"] in videos), None)
