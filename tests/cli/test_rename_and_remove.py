"""`gotowce rename`, `remove` and `restore` as they are typed, on a video of which nothing was made yet."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gotowce_dagster.cli.main import app
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake import videos as intake
from tests.intake.test_videos import film, profile, videos_of

pytestmark = pytest.mark.integration


def test_a_video_is_renamed_removed_and_restored(clone: Project, tmp_path: Path) -> None:
    profile(clone, "game", "duel*")
    intake.add(clone, film(tmp_path / "duel.mp4"))
    intake.sync(clone)
    run = CliRunner().invoke
    renamed = run(app, ["rename", "duel", "rival"])
    assert renamed.exit_code == 0
    assert "duel is now rival. Still current: nothing." in renamed.output
    assert "add rival to `videos` in data/profiles/game.toml" in renamed.output.replace("\n", " ")
    assert list(videos_of(clone)) == ["rival"]

    removed = run(app, ["remove", "rival", "--json"])
    assert removed.exit_code == 0
    folder = Path(json.loads(removed.output)["trash"])
    assert videos_of(clone) == {}
    assert (folder / "data" / "raw" / "rival.mp4").exists()
    assert isinstance(run(app, ["remove", "rival"]).exception, InputError)

    restored = run(app, ["restore", folder.name, "--json"])
    assert json.loads(restored.output) == {"restored": "rival"}
    assert videos_of(clone)["rival"]["formerly"] == ["duel"]


def test_a_video_whose_file_is_gone_stays_until_it_is_removed(clone: Project, tmp_path: Path) -> None:
    intake.add(clone, film(tmp_path / "duel.mp4"))
    intake.sync(clone)
    (clone.paths.raw / "duel.mp4").unlink()
    (clone.paths.raw / "duel.mp4.dvc").unlink()
    intake.sync(Project(clone.paths))
    project = Project(clone.paths)
    assert project.raw_state("duel") == "gone"
    with pytest.raises(InputError, match=r"duel\.mp4: missing.*`gotowce remove duel`"):
        project.raw("duel")
    assert intake.add(clone, film(tmp_path / "duel.mp4", shade=30)) == "duel_2"
    assert CliRunner().invoke(app, ["remove", "duel"]).exit_code == 0
    assert list(videos_of(clone)) == ["duel_2"]
