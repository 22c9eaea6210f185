"""What a node gets of a project."""

import base64
import json
import zlib
from pathlib import Path

import pytest

from gotowce_dagster.cluster import slices
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake import videos as intake
from tests.cluster.projects import make_driver, short_film

pytestmark = pytest.mark.integration


def test_a_slice_is_a_project_of_one_video(clone: Project, tmp_path: Path) -> None:
    driver = make_driver(clone, tmp_path, videos=2)
    (driver.paths.root / ".dvc" / "config.local").write_text(
        "['remote \"folder\"']\n    password = swordfish\n"
    )
    files = slices.take(driver, "scene_1")
    assert "swordfish" not in "".join(files.values())
    assert not [name for name in files if "scene_2" in name]
    slices.write(slices.unpack(slices.pack(files)), tmp_path / "node")
    node = Project(Paths(tmp_path / "node"))
    assert dict(node.videos) == {"scene_1": driver.video("scene_1")}
    assert node.params == driver.params
    assert node.engines == driver.engines
    assert node.raw_state("scene_1") == "not pulled"
    assert slices.is_slice(node.paths)
    assert not slices.is_slice(driver.paths)
    assert len(slices.pack(files)) < 100_000, "it is stored with every run"


def test_a_video_that_dvc_does_not_track_has_no_slice(clone: Project, tmp_path: Path) -> None:
    intake.add(clone, short_film(tmp_path / "scene_1.mp4", 1))
    intake.sync(clone)
    (clone.paths.raw / "scene_1.mp4.dvc").unlink()
    with pytest.raises(InputError, match=r"scene_1\.mp4: not tracked by DVC yet; run `gotowce sync`"):
        slices.take(Project(clone.paths), "scene_1")


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"../params.yaml": "a"}, id="above"),
        pytest.param({"/etc/params.yaml": "a"}, id="absolute"),
        pytest.param({"data/../../x": "a"}, id="above, in the middle"),
    ],
)
def test_a_slice_stays_in_its_folder(files: dict[str, str]) -> None:
    text = base64.b64encode(zlib.compress(json.dumps(files).encode())).decode()
    with pytest.raises(InputError, match="damaged"):
        slices.unpack(text)


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_damaged_slice_is_refused(cut: int) -> None:
    with pytest.raises(InputError, match="damaged"):
        slices.unpack(slices.pack({"params.yaml": str(list(range(500)))})[:cut])
