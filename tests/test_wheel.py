"""The wheel, installed in an environment of its own, makes a project and labels a clip in it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.small_project import PROFILE
from tests.support.synthetic import Bracket, Scene, Target, write_scene

pytestmark = pytest.mark.integration

_BESIDE = Path(sys.prefix).parent / ".uv" / "bin" / "uv"
UV = shutil.which("uv") or (str(_BESIDE) if _BESIDE.exists() else None)

_MATERIALIZE = """
import json, os, sys
from uuid import uuid4
import dagster as dg
from gotowce_dagster.definitions import defs
with dg.DagsterInstance.get() as instance:
    instance.add_dynamic_partitions("videos", ["scene"])
    result = defs().resolve_job_def("label_videos").execute_in_process(
        instance=instance, partition_key="scene",
        op_selection=["extracted_frames", "designator_detections"],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    how = {
        event.asset_key.path[-1]: event.materialization.metadata["how"].value
        for event in result.all_events if event.event_type_value == "ASSET_MATERIALIZATION"
    }
print(json.dumps(how))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository."""
    if UV is None:
        pytest.skip("no uv; `make install` installs it")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_repositorys_own_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        inside = {name for name in names if name.startswith("gotowce_dagster/project/")}
        assert len(inside) > 15
        for name in inside:
            assert archive.read(name) == (ROOT / name.removeprefix("gotowce_dagster/project/")).read_bytes()
        package = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "gotowce_dagster").rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert package == {name for name in names - inside if name.startswith("gotowce_dagster/")}
    assert wheel.stat().st_size < 5_000_000


def test_it_makes_a_project_that_dvc_and_dagster_agree_on(wheel: Path, tmp_path: Path) -> None:
    assert UV is not None
    env = tmp_path / "env"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, env], check=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GOTOWCE_")}
    variables.pop("PYTHONPATH", None)
    variables |= {"VIRTUAL_ENV": str(env), "OMP_NUM_THREADS": "1"}
    subprocess.run([UV, "pip", "install", "--quiet", "--no-deps", wheel], check=True, env=variables)
    # What it depends on is that of these tests, installed from the lock by `make install`. Its path alone is
    # added: files of an editable installation there name this checkout, and are not read.
    (own,) = env.glob("lib/*/site-packages")
    (own / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")

    root = tmp_path / "ships"
    variables |= {
        "PATH": f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(root / ".dagster"),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "GOTOWCE_WEIGHTS_DIR": os.environ.get("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "weights")),
    }

    def run(*words: str, cwd: Path = root) -> str:
        done = subprocess.run(words, cwd=cwd, env=variables, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
        return done.stdout

    where = run("python", "-c", "import gotowce_dagster; print(gotowce_dagster.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(own)
    run("gotowce", "init", str(root), cwd=tmp_path)
    assert not (root / "gotowce_dagster").exists()
    (root / "data/profiles/synthetic.toml").write_text(PROFILE, encoding="utf-8")
    target = Target(start=(40, 50), velocity=(2, 1), bracket=Bracket())
    write_scene(tmp_path / "scene.mp4", Scene(targets=(target,), frames=20, size=(320, 180), seed=1))
    run("gotowce", "add", str(tmp_path / "scene.mp4"))
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "start")

    names = [f"videos/scene/dvc.yaml:{stage}" for stage in ("extracted_frames", "designator_detections")]
    dvc = ("python", "-m", "dvc")
    assert run(*dvc, "repro", *names).count("Running stage") == 2
    assert "up to date" in run(*dvc, "status", *names)
    how = json.loads(run("python", "-c", _MATERIALIZE).splitlines()[-1])
    assert how["extracted_frames"] == how["designator_detections"] == "current: nothing to compute"
    assert "Nothing is computed again" in run("gotowce", "upgrade", "--dry-run")
