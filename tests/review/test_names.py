"""A renamed video keeps its tasks and reviews; those of a removed video are reported and stay."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project, Video
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.review import pull as pulling
from gotowce_dagster.review import push as pushing
from gotowce_dagster.review.connection import Room
from tests.review.frames import frame
from tests.review.test_tasks import _annotation, _task


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """A server with one task, of the video `duel`, that a human accepted."""
    task = _task([_annotation([])], updated_at="2026-11-01T12:00:00Z", total_annotations=1, drafts=[])
    task |= {"cancelled_annotations": 0}

    def list_tasks(client: Any, project: int, fields: Sequence[str], **which: Any) -> list[dict[str, Any]]:
        return [task]

    project = SimpleNamespace(id=2, created_at=datetime(2026, 11, 1, tzinfo=UTC))
    for module in (pulling, pushing):
        monkeypatch.setattr(module, "list_tasks", list_tasks)
    monkeypatch.setattr(pulling, "find_project", lambda client, title: project)
    nobody: Any = SimpleNamespace()  # never called: list_tasks is patched
    return Room(nobody, "http://ls.test")


@pytest.mark.parametrize(
    ("names", "video", "problem"),
    [
        pytest.param(None, "duel", None, id="as it is"),
        pytest.param({"duel": "duel"}, "duel", None, id="known"),
        pytest.param({"duel": "rival", "rival": "rival"}, "rival", None, id="renamed"),
        pytest.param({"rival": "rival"}, None, "duel: not a video of this project", id="removed"),
    ],
)
def test_reviews_follow_a_renamed_video(
    tmp_path: Path, room: Room, names: dict[str, str] | None, video: str | None, problem: str | None
) -> None:
    paths = Paths(tmp_path)
    pulled = pulling.pull(room, paths, "labels", names=names)
    assert pulled.videos == ([video] if video else [])
    assert [file.stem for file in paths.reviewed_videos.glob("*.json")] == ([video] if video else [])
    if video:
        reviewed = read_reviewed(paths.reviewed(video))
        assert (reviewed.video, len(reviewed.frames)) == (video, 1)
    assert [text.partition(";")[0] for text in pulled.problems] == ([problem] if problem else [])


def test_the_task_of_a_renamed_video_is_found_by_its_new_name(room: Room) -> None:
    known = pushing._tasks_by_uid(room.client, 2, {"duel": "rival"})
    _, _, rest = frame().uid.partition("/")
    assert list(known) == [f"rival/{rest}"]
    assert list(pushing._tasks_by_uid(room.client, 2, {})) == [frame().uid]


def test_a_reused_name_belongs_to_its_current_video(tmp_path: Path) -> None:
    project = Project(Paths(tmp_path))
    videos = {
        "rival": Video(file="rival.mp4", profile="none", formerly=("duel", "old")),
        "duel": Video(file="duel.mp4", profile="none"),
    }
    project.__dict__["videos"] = videos
    assert project.names == {"rival": "rival", "duel": "duel", "old": "rival"}
