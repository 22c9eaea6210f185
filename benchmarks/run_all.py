"""Run all benchmarks in turn and collect their ratios of ours to the alternative in one table.

    python -m benchmarks.run_all [--quick] [--only NAME ...] [--out FOLDER] [--footage FOLDER]

Each runs in a process of its own; what it prints is shown and kept in the folder, with the table, ratios.md.
With --quick, small inputs show that every benchmark still works, in processes that are forked after what most
of them import, and with one thread each; its figures say nothing. What one needs and this machine lacks is
named in the table, and so is why a benchmark is run by hand: nothing is left out silently. Those of Label
Studio need `gotowce review serve`. Ends with 1 if one failed.
"""

import argparse
import importlib
import json
import os
import platform
import resource
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import IO

from benchmarks.ratios import RECORD
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.offline import keep_offline
from gotowce_dagster.core.weights import require

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
CLIP = SAMPLES / "naev_hostile_sample.mp4"
PROFILE = ROOT / "data" / "profiles" / "naev.toml"


@dataclass(frozen=True)
class Benchmark:
    """A module of this folder and its arguments; FOOTAGE stands for the folder of clips with ground truth."""

    name: str
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    program: str = ""
    server: bool = False
    by_hand: str = ""
    """Why it is not run here, if it is not."""


_OF_A_PROJECT = "needs a labelled project and minutes of training"
_SAM2 = ("sam2_hiera_tiny_image.pt",)
BENCHMARKS = (
    Benchmark("extract_frames", ("--quick", "--repeats", "1")),
    Benchmark("bracket_speed", (str(CLIP), str(PROFILE), "--frames", "10"), (str(CLIP), str(PROFILE))),
    Benchmark("designator_accuracy", ("FOOTAGE", "--draws", "0"), ("FOOTAGE",)),
    Benchmark(
        "mark_families",
        ("--seeds", "1", "--frames", "6", "--only", "proportional"),
        ("--seeds", "101,102", "--empty", "150"),
    ),
    Benchmark(
        "mark_sizes", ("--seeds", "1", "--frames", "6", "--only", "dot", "--heights", "360", "--marks", "1")
    ),
    Benchmark("image_masks", ("--quick",), (), _SAM2),
    Benchmark("mask_engines", ("--quick",), (), (*_SAM2, "mobile_sam.pt")),
    Benchmark("image_track", ("FOOTAGE", "--quick"), ("FOOTAGE",), _SAM2),
    Benchmark("target_boxes", ("FOOTAGE", "grabcut", "--most", "2"), ("FOOTAGE",), _SAM2),
    Benchmark("losses", ("--seeds", "1", "--ordeals", "zoom", "--frames", "3"), (), _SAM2),
    Benchmark("propagation_memory", ("--quick",)),
    Benchmark(
        "comparison_overhead",
        (str(CLIP), str(PROFILE), "--frames", "2", "--rounds", "1", "--most", "2"),
        (str(CLIP), str(PROFILE)),
        ("yolo26n.pt",),
    ),
    Benchmark("bookkeeping", ("2",), ("10", "200", "1000")),
    Benchmark("lock_repair", ("2",), ("2", "200")),
    Benchmark("assist", ("--frames", "1"), (), _SAM2),
    Benchmark("review_room", ("--frames", "10"), server=True),
    Benchmark("review_accept", ("--frames", "3"), program="chromium", server=True),
    Benchmark("scale"),
    Benchmark("training_recipe", by_hand=_OF_A_PROJECT),
    Benchmark("ablation", by_hand=_OF_A_PROJECT),
    Benchmark(
        "erase_quality", by_hand="needs all clips of two games, a folder for their frames, and minutes"
    ),
    Benchmark("cluster", by_hand="needs what `make test-cluster` installs, and minutes"),
)
_IMPORTED = ("cv2", "pandas", "av", "supervision", "torch", "torchvision", "ultralytics")
"""What most of them import, with what that imports in turn."""


def lacking(benchmark: Benchmark) -> str:
    """What this machine lacks for a benchmark, empty if nothing."""
    if benchmark.by_hand:
        return f"{benchmark.by_hand}: run it by hand"
    for name in benchmark.weights:
        try:
            require(name)
        except GotowceError as error:
            return str(error)
    if benchmark.program and not shutil.which(benchmark.program):
        return f"{benchmark.program} is not on the PATH"
    if benchmark.server and "LABEL_STUDIO_URL" not in os.environ:
        return "LABEL_STUDIO_URL is not set: start `gotowce review serve`"
    return ""


def run(benchmark: Benchmark, quick: bool, footage: Path, out: Path) -> dict[str, object]:
    """Run one: its name, seconds, CPU seconds, outcome and ratios; its output is shown and kept."""
    words = [
        str(footage) if word == "FOOTAGE" else word for word in (benchmark.quick if quick else benchmark.full)
    ]
    record = out / f"{benchmark.name}.jsonl"
    record.unlink(missing_ok=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    start_process = forked if quick else started
    output, ended = start_process(f"benchmarks.{benchmark.name}", words, {RECORD: str(record)})
    with output, (out / f"{benchmark.name}.log").open("w", encoding="utf-8") as log:
        for line in output:
            print(f"  {line}", end="", flush=True)
            log.write(line)
        code = ended()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "name": benchmark.name,
        "seconds": time.perf_counter() - start,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "outcome": "ran" if code == 0 else f"failed with {code}, see {benchmark.name}.log",
        "ratios": [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        if record.exists()
        else [],
    }


Running = tuple[IO[str], Callable[[], int | None]]
"""What a process prints, and a function that waits for its end and returns its exit code."""


def started(module: str, words: Sequence[str], environment: Mapping[str, str]) -> Running:
    """Run a module in a new process."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env=os.environ | environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    return process.stdout, process.wait


def forked(module: str, words: Sequence[str], environment: Mapping[str, str]) -> Running:
    """Run a module in a copy of this process, which has imported what takes long."""

    def become() -> None:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(write, stream.fileno())
        os.close(write)
        os.environ.update(environment)
        os.chdir(ROOT)
        sys.argv = [module, *words]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    read, write = os.pipe()
    sys.stdout.flush()
    process = get_context("fork").Process(target=become)
    process.start()
    os.close(write)

    def ended() -> int | None:
        process.join()
        return process.exitcode

    return os.fdopen(read, encoding="utf-8"), ended


def table(rows: Sequence[dict], what: str) -> Iterator[str]:
    """The tables as Markdown: a row a ratio, then a row a benchmark."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    yield f"{what}, {date.today()}, commit {commit}, {platform.machine()}, {os.cpu_count()} cores.\n"
    yield from _rows("figure", "times", "alternative", "ours", "alternative's", "unit")
    for ratio in (ratio for row in rows for ratio in row["ratios"]):
        figures = (f"{ratio[name]:.3g}" for name in ("ours", "other"))
        yield _row(ratio["what"], f"{ratio['ratio']:.2f}", ratio["against"], *figures, ratio["unit"])
    yield ""
    yield from _rows("benchmark", "seconds", "CPU s", "outcome")
    for row in rows:
        yield _row(row["name"], f"{row['seconds']:.0f}", f"{row['cpu_s']:.0f}", row["outcome"])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rows(*heads: str) -> Iterator[str]:
    yield _row(*heads)
    yield _row(*("---" for _ in heads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs: does everything still work?")
    parser.add_argument("--only", nargs="*", choices=[one.name for one in BENCHMARKS])
    parser.add_argument("--out", type=Path, default=ROOT / "data" / ".work" / "benchmarks")
    parser.add_argument(
        "--footage", type=Path, default=SAMPLES, help="clips with truth.csv; default: the samples"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows, text = [], ""
    if options.quick:
        # One thread each, also of processes that they start: a second one saves no processor time.
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        keep_offline()
        for module in _IMPORTED:
            importlib.import_module(module)
    for benchmark in BENCHMARKS:
        if options.only and benchmark.name not in options.only:
            continue
        print(f"{benchmark.name}", flush=True)
        if why := lacking(benchmark):
            print(f"  not run: {why}", flush=True)
            rows.append(
                {"name": benchmark.name, "seconds": 0, "cpu_s": 0, "outcome": f"not run: {why}", "ratios": []}
            )
        else:
            rows.append(run(benchmark, options.quick, options.footage.resolve(), options.out.resolve()))
        # Each time, so that a run that is stopped has a table too: all of them take an hour and more.
        text = "\n".join(table(rows, "Quick run: the figures say nothing" if options.quick else "Full run"))
        (options.out / "ratios.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\nkept in {options.out}")
    sys.exit(any(str(row["outcome"]).startswith("failed") for row in rows))


if __name__ == "__main__":
    main()
