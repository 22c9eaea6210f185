"""Commands that are forked from a warm process behave as those that start anew."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gotowce_dagster.comparison.job import EVENTS, JOB
from tests.comparison.jobs import job
from tests.support.warm import commands

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("os.environ.get('WARM') == '0'", reason="commands start as users start them"),
]

SLOW = "stages: {wait: {cmd: 'echo $PPID > begun && mv begun process && sleep 60', outs: [out]}}"
"""It leaves the id of the process that runs it."""


def run(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [commands() / words[0], *words[1:]]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, check=False, capture_output=True, text=True
    )


def test_arguments_output_and_exit_code(tmp_path: Path) -> None:
    done = run(tmp_path, "gotowce", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "calibrate" in done.stdout
    done = run(tmp_path, "gotowce", "stage", "no_such_stage")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no_such_stage" in done.stderr
    assert run(tmp_path, "dvc", "no_such_command").returncode == 254


def test_folder_and_environment_are_those_of_the_caller(tmp_path: Path) -> None:
    assert run(tmp_path, "dvc", "init", "--no-scm", "-q").returncode == 0
    assert (tmp_path / ".dvc").is_dir()
    (tmp_path / "dvc.yaml").write_text("stages: {say: {cmd: 'echo $WORD > out', outs: [out]}}")
    assert run(tmp_path, "dvc", "repro", "-q", WORD="ship").returncode == 0
    assert (tmp_path / "out").read_text() == "ship\n"


def test_a_command_dies_with_its_caller(tmp_path: Path) -> None:
    run(tmp_path, "dvc", "init", "--no-scm", "-q")
    (tmp_path / "dvc.yaml").write_text(SLOW)
    caller = subprocess.Popen([commands() / "dvc", "repro", "-q"], cwd=tmp_path)
    while not (tmp_path / "process").exists():
        assert caller.poll() is None
        time.sleep(0.05)
    process = Path("/proc") / (tmp_path / "process").read_text().strip()
    assert process.exists()
    caller.send_signal(signal.SIGKILL)
    assert caller.wait() == -signal.SIGKILL
    for _ in range(200):
        if not process.exists():
            return
        time.sleep(0.05)
    pytest.fail("it lives on")


def test_python_measures_a_contender_warm_and_starts_all_else_anew(tmp_path: Path) -> None:
    (tmp_path / JOB).write_text(job(tmp_path, "good").model_dump_json())
    done = run(tmp_path, "python", "-m", "gotowce_dagster.comparison.worker", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / EVENTS).read_text().endswith('{"event": "end"}\n')
    (tmp_path / JOB).write_text("{}")
    done = run(tmp_path, "python", "-m", "gotowce_dagster.comparison.worker", str(tmp_path))
    assert done.returncode == 1
    assert "tests/support/warm/server.py" in done.stderr
    done = run(tmp_path, "python", "-c", "import sys; sys.exit('numpy' in sys.modules)")
    assert done.returncode == 0


def test_modules_of_the_caller_are_imported(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    places = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    assert run(tmp_path, "gotowce", "--help", PYTHONPATH=places).stdout.startswith("mine\n")


def test_commands_start_anew_where_no_server_is_left(tmp_path: Path) -> None:
    program = shutil.copy(commands() / "gotowce", tmp_path)
    done = subprocess.run([program, "--help"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "calibrate" in done.stdout
