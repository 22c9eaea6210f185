from pathlib import Path

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError

_VIDEO = "file: duel.mp4, profile: naev"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "data").mkdir()
    return Project(Paths(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"videos: {{../duel: {{{_VIDEO}}}}}", "'../duel' is a path"),
        (f"videos: {{/tmp/duel: {{{_VIDEO}}}}}", "'/tmp/duel' is a path"),
        (f"videos: {{'..': {{{_VIDEO}}}}}", "'..' begins with a dot"),
        (f"videos: {{'': {{{_VIDEO}}}}}", "must not be empty"),
        ("videos: {duel: {file: ../duel.mp4, profile: naev}}", "videos.duel.file: '../duel.mp4' is a path"),
        ("videos: {duel: {file: /dev/zero, profile: naev}}", "videos.duel.file: '/dev/zero' is a path"),
        ("videos: {duel: {file: duel.mp4, profile: ../naev}}", "videos.duel.profile: '../naev' is a path"),
        (f"videos: {{duel: {{{_VIDEO}, points: ../p}}}}", "videos.duel.points: '../p' is a path"),
        ("videos: {duel: {file: duel.mp4}}", "videos.duel.profile: is missing"),
        ("videos: {duel: 3}", "videos.duel: expected a table of names and values"),
        ("videos: 3", "videos: expected a table of names and values"),
        ("other: 3", "videos: is missing"),
        ("[]", "videos: is missing"),
        ("", "videos: is missing"),
    ],
)
def test_a_list_of_videos_that_leads_out_is_refused(project: Project, content: str, message: str) -> None:
    project.paths.videos.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        _ = project.videos
    assert str(error.value).startswith(f"{project.paths.videos}: ")
    assert message in str(error.value)
    assert "gotowce sync" in str(error.value)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("sam2:../../evil.pt", "masks: '..' begins with a dot"),
        ("sam2:/tmp/../evil.pt", "masks: '..' begins with a dot"),
        ("../evil.pt", "masks: '..' begins with a dot"),
        ("sam2:", "masks: a name must not be empty"),
        ("''", "masks: a name must not be empty"),
    ],
)
def test_weights_outside_the_project_are_refused(project: Project, engine: str, message: str) -> None:
    project.paths.engines.write_text(f"masks: {engine!s}\n".replace("sam2:\n", "'sam2:'\n"), encoding="utf-8")
    with pytest.raises(InputError) as error:
        _ = project.engines
    assert message in str(error.value)


@pytest.mark.parametrize(
    "engine", ["grabcut", "unused", "sam2:sam2.1_hiera_tiny.pt", "yolo26n.yaml", "data/weights/round1.pt"]
)
def test_weights_by_name_or_below_the_project_are_read(project: Project, engine: str) -> None:
    project.paths.engines.write_text(f"masks: {engine}\n", encoding="utf-8")
    assert project.engines == {"masks": engine}
