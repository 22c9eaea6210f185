"""Kill the tool again and again, at random moments and in the middle of writes, and see what is left.

python -m tests.faults.campaign --kills 30 --seed 1

A round takes a small project from its two videos to the report, by `dvc repro` or by Dagster runs. On the way
commands are killed; after each kill the same command is given again, as a person would do. Once the round is
through, everything that was recorded and made must equal, by hash, what a run without kills made.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from gotowce_dagster.assets.runs import release_dead_runs
from gotowce_dagster.intake.pipelines import stage_address
from gotowce_dagster.stages.table import STAGES
from tests.faults.project import environment, make_project, state

_STUDIES = tuple(
    stage_address(stage.name, None) for stage in STAGES.values() if stage.is_study and not stage.needs_models
)
_WRITES = {
    "add": 2,
    "sync": 1,
    "repro": 22,
    "label_videos": 8,
    "train_model": 6,
    "run_studies": 6,
    "studies": 6,
}
"""About how many files DVC writes in each command: dvc.lock or a .dvc file, and entries of the run cache."""
_WRITES_OF_LABELS = 8
"""The same for `repro` of one video's labels."""
_START = 2.0
"""Seconds until a command does more than import; kills strike after it, but for one in ten."""
_CLI = ("gotowce_dagster.cli.main",)
_PROGRAMS = {_CLI[0]: "gotowce", "dvc": "dvc", "dagster": "dagster"}
"""What is called of each module when nothing kills it."""
_LABELS = ("--recursive", "videos")
_NOWHERE = "before the first stage"
_CODE_PARTITIONS = (
    "import dagster as dg; dg.DagsterInstance.get().add_dynamic_partitions('videos', ['scene_1', 'scene_2'])"
)


@dataclass(frozen=True)
class Command:
    """One command of a round: its name in the table and its words."""

    name: str
    words: tuple[str, ...]
    """A module and its arguments, for ``python -m``."""
    needs_repair: bool = False
    """After a kill, `gotowce repair` comes first: a plain DVC reads dvc.lock as it finds it."""


def _gotowce(name: str, *words: str) -> Command:
    return Command(name, (*_CLI, name, *words))


def _job(name: str, video: str | None = None) -> Command:
    where = ("-m", "gotowce_dagster.definitions", "-j", name)
    tags = ("--tags", f'{{"dagster/partition": "{video}"}}') if video else ()
    return Command(f"{name} {video or ''}".strip(), ("dagster", "job", "execute", *where, *tags))


def commands(way: str, films: Path, labels_only: bool) -> list[Command]:
    """What takes a project from its videos to the report, or to labels, by ``dvc`` or by ``dagster``."""
    videos = [str(file) for file in sorted(films.iterdir())]
    begin = [_gotowce("add", *videos), _gotowce("sync")]
    if way == "dvc":
        targets = _LABELS if labels_only else ()
        repro = [Command("repro", ("dvc", "repro", *targets), needs_repair=True)]
        studies = [Command("studies", ("dvc", "repro", *_STUDIES), needs_repair=True)]
        return [*begin, *repro, *([] if labels_only else studies)]
    labels = [_job("label_videos", file.stem) for file in sorted(films.iterdir())]
    return [*begin, *labels, *([] if labels_only else [_job("train_model"), _job("run_studies")])]


@dataclass(frozen=True)
class Kill:
    """How a command is killed: after seconds, alone or with all it started, or in its NTH write."""

    seconds: float = 0.0
    alone: bool = False
    nth: int = 0
    fraction: float = 0.0

    def __str__(self) -> str:
        if self.nth:
            return f"in write {self.nth}, {self.fraction:.0%} written"
        return f"after {self.seconds:.1f} s{', its children live on' if self.alone else ''}"


_IN_LOCK = (Kill(nth=2, fraction=0.0), Kill(nth=4, fraction=0.6), Kill(nth=2, fraction=1.0))
"""A stage's second write is dvc.lock, after its entry in the run cache: emptied, cut, written to the end."""


@dataclass
class Outcome:
    """One line of the table."""

    way: str
    command: str
    kill: Kill
    where: str
    then: str = ""


@dataclass
class Report:
    """What a campaign saw."""

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        rows = [
            f"{number:3}  {o.way:7}  {o.command:20}  {o.kill!s:38}  {o.where:34}  {o.then}"
            for number, o in enumerate(self.outcomes, start=1)
        ]
        end = f"{len(self.outcomes)} kills in {self.seconds:.0f} s; " + (
            "\n".join(self.problems) or "every recovered state equals the undisturbed one"
        )
        return "\n".join([*rows, end])


class Runner:
    """Runs commands inside one project, and kills them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._groups: list[int] = []
        self._log = root.parent / f"{root.name}.log"

    def run(self, words: Sequence[str], kill: Kill | None = None) -> tuple[int, str]:
        """Run a command; its return code (-9 if killed) and what it printed."""
        killer = (
            ("tests.faults.killed_writer", str(kill.nth), str(kill.fraction)) if kill and kill.nth else ()
        )
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *killer, *words] if kill else [_PROGRAMS[words[0]], *words[1:]],
                cwd=self.root,
                env=environment(self.root),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            try:
                process.wait(kill.seconds if kill and not kill.nth else 600)
            except subprocess.TimeoutExpired:
                assert kill, f"{' '.join(words)} hangs:\n{self._log.read_text()[-2000:]}"
                if kill.alone:
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if kill and kill.nth:  # what a killed DVC had started dies with it: it was between two stages
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, self._log.read_text(errors="replace")

    def wait_for_orphans(self) -> None:
        """Wait until nothing runs any more that a killed command had started."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                while True:
                    os.killpg(group, 0)
                    time.sleep(0.2)
        self._groups.clear()


def _where(text: str) -> str:
    """The stage that the last lines of DVC's output speak of."""
    found = re.findall(r"Running stage '(\S+)'|(Updating lock file)", text)
    return next(word for word in found[-1] if word) if found else _NOWHERE


def _last_step(root: Path, begun: float) -> str:
    """The step that Dagster started last, in a run that began after ``begun`` (seconds since 1970)."""
    with dg.DagsterInstance.from_config(str(root / ".dagster")) as instance:
        records = instance.get_run_records(limit=1)
        if not records or records[0].create_timestamp.timestamp() < begun:
            return _NOWHERE
        started = instance.all_logs(records[0].dagster_run.run_id, of_type=dg.DagsterEventType.STEP_START)
    event = started[-1].dagster_event if started else None
    return (event.step_key if event else None) or _NOWHERE


@dataclass
class Campaign:
    """A campaign in a folder: the project before any command, and what it learned of the commands."""

    folder: Path
    labels_only: bool = False
    """One video, and no training: for where a minute counts."""
    usual: dict[str, float] = field(default_factory=dict)
    """Seconds that each command takes undisturbed."""
    report: Report = field(default_factory=Report)

    def prepare(self) -> dict[str, str]:
        """Write the project, and run it undisturbed; the state that every round must reach."""
        make_project(self.folder / "template", self.folder / "films", videos=1 if self.labels_only else 2)
        root = self.play("dvc", "undisturbed", [], random.Random())
        repro = self.usual["repro"]
        jobs = {"label_videos scene_1": 1 / 4, "label_videos scene_2": 1 / 4, "train_model": 1 / 3}
        self.usual |= {name: share * repro for name, share in (jobs | {"run_studies": 1 / 5}).items()}
        return state(root)

    def play(self, way: str, name: str, strikes: Sequence[float], rng: random.Random) -> Path:
        """One round: kill its commands on the way, then let each end; the project's folder.

        Args:
            strikes: for each kill, where in the time of the whole round it strikes, from 0 to 1.
        """
        root = self.folder / name
        shutil.copytree(self.folder / "template", root, symlinks=True)
        runner, steps = Runner(root), commands(way, self.folder / "films", self.labels_only)
        if way == "dagster":
            subprocess.run([sys.executable, "-c", _CODE_PARTITIONS], env=environment(root), check=True)
        planned = list(_IN_LOCK) if name == "round_0" else []
        total, begin = sum(self.usual.get(step.name, 1.0) for step in steps), 0.0
        for step in steps:
            end = begin + self.usual.get(step.name, 1.0) / total
            count = sum(begin <= strike < end for strike in strikes)
            plan = planned if step.name == "repro" else []
            kills = plan + [self._draw(step.name, count - n, rng) for n in range(len(plan), count)]
            self._strike(runner, way, step, kills)
            begin = end
            if self.report.problems:
                break
        runner.wait_for_orphans()
        return root

    def _strike(self, runner: "Runner", way: str, step: Command, kills: Sequence[Kill]) -> None:
        """Run a command, killed again and again unless it ends before, and then to its end."""
        for kill in kills:
            sent = time.time()
            code, text = runner.run(step.words, kill)
            if code == 0:
                return
            if code != -signal.SIGKILL:
                self.report.problems.append(f"{way} {step.name} failed: {text[-1500:]}")
                return
            where = _last_step(runner.root, sent) if step.words[0] == "dagster" else _where(text)
            outcome = Outcome(way, step.name, kill, where)
            self.report.outcomes.append(outcome)
            outcome.then = "went on"
            if step.needs_repair:
                code, text = runner.run((*_CLI, "repair"))
                if code:
                    self.report.problems.append(f"{way} {step.name}: repair failed: {text[-1500:]}")
                    return
                outcome.then = "repaired, went on" if "truncated" in text else outcome.then
        begun = time.monotonic()
        code, text = runner.run(step.words)
        if code:
            self.report.problems.append(f"{way} {step.name}, after {len(kills)} kills: {text[-1500:]}")
        if not kills:
            self.usual.setdefault(step.name, time.monotonic() - begun)

    def _draw(self, name: str, left: int, rng: random.Random) -> Kill:
        """A kill for a command: at any moment of its usual time, or, two in five, in a write.

        What a killed command finished stays, so that the next one has less to do: of the kills that are
        ``left``, each strikes within its share of the command's time.
        """
        writes = (
            _WRITES_OF_LABELS if self.labels_only and name == "repro" else _WRITES[name.split(maxsplit=1)[0]]
        )
        if rng.random() < 2 / 5:
            nth = rng.randint(1, max(1, writes // left))
            return Kill(nth=nth, fraction=rng.choice([0.0, 1.0, rng.random(), rng.random()]))
        usual = self.usual.get(name, 1.0)
        start = 0.0 if rng.random() < 1 / 10 else min(_START, usual / 2)
        return Kill(seconds=start + rng.random() * (usual - start) / left, alone=rng.random() < 0.25)

    def compare(self, way: str, root: Path, expected: dict[str, str]) -> None:
        """Hold a round's end against the undisturbed one."""
        runner, found = Runner(root), state(root)
        if different := sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)):
            self.report.problems.append(f"{way}: not as undisturbed: {', '.join(different)}")
        targets = _LABELS if self.labels_only else ()
        for words, message in (
            (("dvc", "status", *targets), "up to date"),
            ((*_CLI, "repair"), "nothing to repair"),
        ):
            code, text = runner.run(words)
            if code or message not in text:
                self.report.problems.append(f"{way}: {words[1]}: {text[-600:]}")
        if way == "dagster":
            with dg.DagsterInstance.from_config(str(root / ".dagster")) as instance:
                release_dead_runs(instance)
                left = [run.run_id for run in instance.get_runs() if not run.is_finished]
                left += instance.event_log_storage.get_concurrency_run_ids()
            if left:
                self.report.problems.append(f"{way}: runs that never end or keep a slot: {', '.join(left)}")


def campaign(
    folder: Path,
    kills: int,
    seed: int,
    *,
    ways: Sequence[str] = ("dvc", "dagster"),
    a_round: int = 8,
    labels_only: bool = False,
) -> Report:
    """So many kills, in rounds of ``a_round``, by each way in turn; all ways at the same time."""
    begun, played = time.monotonic(), Campaign(folder, labels_only)
    expected, report = played.prepare(), played.report
    print(f"undisturbed: {time.monotonic() - begun:.0f} s", file=sys.stderr)

    def round_of(turn: int) -> None:
        left = kills - len(report.outcomes)
        if left <= 0 or report.problems:
            return
        way, rng = ways[turn % len(ways)], random.Random(f"{seed} {turn}")
        root = played.play(way, f"round_{turn}", [rng.random() for _ in range(min(a_round, left))], rng)
        if not report.problems:
            played.compare(way, root, expected)
        if not report.problems:
            shutil.rmtree(root)
        print(
            f"round {turn}, {way}: {len(report.outcomes)} kills after {time.monotonic() - begun:.0f} s",
            file=sys.stderr,
        )

    # A round is a chain of processes, one at a time, and most machines have two cores.
    with ThreadPoolExecutor(len(ways)) as pool:
        most = 4 * max(kills // a_round, 1) * len(ways)
        list(pool.map(round_of, range(most)))
    report.outcomes.sort(key=lambda outcome: outcome.way)
    report.seconds = time.monotonic() - begun
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--labels-only", action="store_true", help="One video, without training: quicker.")
    parser.add_argument("--folder", type=Path, help="Where to play; kept. Default: a temporary folder.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = campaign(folder, arguments.kills, arguments.seed, labels_only=arguments.labels_only)
        print(report)
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()
