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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.project import environment, make_project, state

_WRITES = {"add": 2, "sync": 1, "repro": 26, "label_videos": 8, "train_model": 6, "run_studies": 4}
"""About how many files DVC writes in each command: dvc.lock or a .dvc file, and entries of the run cache."""
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
    return Command(name, ("gotowce_dagster.cli", name, *words))


def _job(name: str, video: str | None = None) -> Command:
    where = ("-m", "gotowce_dagster.definitions", "-j", name)
    tags = ("--tags", f'{{"dagster/partition": "{video}"}}') if video else ()
    return Command(f"{name} {video or ''}".strip(), ("dagster", "job", "execute", *where, *tags))


def commands(way: str, films: Path) -> list[Command]:
    """What takes a project from its videos to the report, by ``dvc`` or by ``dagster``."""
    videos = [str(file) for file in sorted(films.iterdir())]
    begin = [_gotowce("add", *videos), _gotowce("sync")]
    if way == "dvc":
        return [*begin, Command("repro", ("dvc", "repro"), needs_repair=True)]
    labels = [_job("label_videos", file.stem) for file in sorted(films.iterdir())]
    return [*begin, *labels, _job("train_model"), _job("run_studies")]


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


def draw(rng: random.Random, name: str, usual_s: float) -> Kill:
    """A kill for a command: at any moment of its usual time, or, one in three, in a write."""
    if rng.random() < 1 / 3:
        writes = _WRITES[name.split(maxsplit=1)[0]]
        return Kill(nth=rng.randint(1, writes), fraction=rng.choice([0.0, 1.0, rng.random(), rng.random()]))
    return Kill(seconds=rng.uniform(0.02, 1.0) * usual_s, alone=rng.random() < 0.25)


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
        """Run ``python -m WORDS``; its return code (-9 if killed) and what it printed."""
        killer = (
            ("tests.faults.killed_writer", str(kill.nth), str(kill.fraction)) if kill and kill.nth else ()
        )
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *killer, *words],
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
    """The stage that the last lines of an output speak of."""
    found = re.findall(r"Running stage '(\S+)'|(\w+) - STEP_START|(Updating lock file)", text)
    return next((word for word in reversed(found[-1]) if word), "") if found else "before the first stage"


def play(
    way: str,
    template: Path,
    root: Path,
    *,
    films: Path,
    kills: list[float],
    rng: random.Random,
    usual: dict[str, float],
    report: Report,
) -> None:
    """One round: kill its commands as often as ``kills`` says for each, then let it end.

    Args:
        kills: for each kill, where in the round's list of commands it strikes, from 0 to 1.
    """
    shutil.copytree(template, root, symlinks=True)
    runner, steps = Runner(root), commands(way, films)
    if way == "dagster":
        subprocess.run([sys.executable, "-c", _CODE_PARTITIONS], env=environment(root), check=True)
    total = sum(usual.get(step.name, 1.0) for step in steps)
    begin = 0.0
    for step in steps:
        length = usual.get(step.name, 1.0) / total
        strikes = sum(begin <= kill < begin + length for kill in kills)
        begin += length
        struck: list[Outcome] = []
        while True:
            kill = draw(rng, step.name, usual.get(step.name, 1.0)) if len(struck) < strikes else None
            begun = time.monotonic()
            code, text = runner.run(step.words, kill)
            if code == -signal.SIGKILL and kill:
                struck.append(Outcome(way, step.name, kill, _where(text)))
                report.outcomes.append(struck[-1])
                if step.needs_repair:
                    code, told = runner.run(("gotowce_dagster.cli", "repair"))
                    struck[-1].then = "repaired: " * ("cut short" in told) + "went on"
                    if code:
                        report.problems.append(f"{way} {step.name}: repair failed: {told[-600:]}")
                else:
                    struck[-1].then = "went on"
                continue
            if code and kill is None:
                report.problems.append(f"{way} {step.name}: after {len(struck)} kills: {text[-1500:]}")
                return
            if code == 0 and (kill is None or len(struck) >= strikes or kill):
                usual.setdefault(step.name, time.monotonic() - begun)
                break
    runner.wait_for_orphans()


def _differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _end_state(way: str, root: Path, expected: dict[str, str], report: Report) -> None:
    """Hold a round's end against the undisturbed one."""
    runner = Runner(root)
    if different := _differences(state(root), expected):
        report.problems.append(f"{way}: differs from the undisturbed run: {', '.join(different)}")
    code, text = runner.run(("dvc", "status"))
    if code or "up to date" not in text:
        report.problems.append(f"{way}: dvc status: {text[-600:]}")
    code, text = runner.run(("gotowce_dagster.cli", "repair"))
    if code or "nothing to repair" not in text:
        report.problems.append(f"{way}: the end is not whole: {text[-600:]}")


def campaign(
    folder: Path, kills: int, seed: int, ways: Sequence[str] = ("dvc", "dagster"), a_round: int = 8
) -> Report:
    """So many kills, in rounds of ``a_round``, in turn by each way."""
    rng, report, begun = random.Random(seed), Report(), time.monotonic()
    template, films = folder / "template", folder / "films"
    make_project(template, films)
    usual: dict[str, float] = {}
    undisturbed = folder / "undisturbed"
    play("dvc", template, undisturbed, films=films, kills=[], rng=rng, usual=usual, report=report)
    if report.problems:
        return report
    expected = state(undisturbed)
    usual |= {"label_videos scene_1": usual["repro"] / 4, "label_videos scene_2": usual["repro"] / 4}
    usual |= {"train_model": usual["repro"] / 3, "run_studies": usual["repro"] / 5}
    turn = 0
    while len(report.outcomes) < kills and not report.problems:
        way, root = ways[turn % len(ways)], folder / f"round_{turn}"
        strikes = [rng.random() for _ in range(min(a_round, kills - len(report.outcomes)))]
        play(way, template, root, films=films, kills=strikes, rng=rng, usual=usual, report=report)
        if not report.problems:
            _end_state(way, root, expected, report)
        if not report.problems:
            shutil.rmtree(root)
        turn += 1
    report.seconds = time.monotonic() - begun
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="Where to play; kept. Default: a temporary folder.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = campaign(folder, arguments.kills, arguments.seed)
        print(report)
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()
