"""Fixtures: a real Label Studio, started once by our own code, and projects to push to it."""

import fcntl
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.labels.reviews import ReviewedFrame, read_reviewed
from gotowce_dagster.review.assist import Assistant
from gotowce_dagster.review.assist_server import application
from gotowce_dagster.review.connection import Room, connect, read_secrets, server_folder, write_secrets
from gotowce_dagster.review.frames import frames_to_review, rule_messages
from gotowce_dagster.review.pull import Pulled, pull
from gotowce_dagster.review.push import Pushed, push
from gotowce_dagster.review.room import find_project, list_tasks
from gotowce_dagster.review.server import RELEASE, Server, install, running
from tests.review.assisting import AUTH, PASSWORD
from tests.review.clicking import Flood
from tests.worlds import ROOT, make_world


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Running(NamedTuple):
    """The server, and the project it belongs to: it serves the images below that project's data."""

    server: Server
    root: Path


@dataclass(frozen=True)
class Desk:
    """A project on disk, and its project in Label Studio."""

    room: Room
    token: str
    world: Project
    title: str

    def push(self, progress: Progress = silent, **changes: object) -> Pushed:
        params = self.world.params.review.tasks.model_copy(update={"project": self.title, **changes})
        frames = frames_to_review(self.world.paths, self.world.videos, params)
        reasons = rule_messages(self.world.params.cleaned_labels)
        folder = self.world.paths.data / "frames"
        return push(self.room, frames, folder, params, why=reasons, progress=progress)

    def pull(self, progress: Progress = silent, again: bool = False) -> Pulled:
        return pull(self.room, self.world.paths, self.title, again=again, progress=progress)

    def reviewed(self, video: str) -> dict[int, ReviewedFrame]:
        return {f.frame_index: f for f in read_reviewed(self.world.paths.reviewed(video)).frames}

    def tasks(self, *fields: str) -> list[dict[str, Any]]:
        """The tasks in Label Studio, by frame."""
        project = find_project(self.room.client, self.title)
        assert project is not None
        found = list_tasks(self.room.client, project.id, ("id", "data", "result", *fields))
        return sorted(found, key=lambda task: task["data"]["frame_index"])

    def say(self, task: dict[str, Any], verdict: str, regions: list[dict] | None = None, **more: Any) -> int:
        """Annotate through the API, as the page does; by default with the prediction's regions."""
        (prediction,) = task["predictions"]
        choice = {"id": "v", "from_name": "verdict", "to_name": "image", "type": "choices"}
        result = [
            *(prediction["result"] if regions is None else regions),
            choice | {"value": {"choices": [verdict]}},
        ]
        made = self.room.client.annotations.create(
            task["id"], result=result, parent_prediction=prediction["id"], lead_time=3.5, **more
        )
        return made.id


def copy_server(source: Path, root: Path) -> None:
    """Copy a project's server, with its database and secrets, to a project that has none."""
    secrets = read_secrets(source)
    assert secrets is not None
    old, new = (server_folder(folder) / "data" for folder in (source, root))
    shutil.rmtree(new, ignore_errors=True)  # half of one, of tests that were killed
    new.mkdir(parents=True)
    shutil.copyfile(old / ".env", new / ".env")
    name = "label_studio.sqlite3"
    with closing(sqlite3.connect(old / name)) as one, closing(sqlite3.connect(new / name)) as other:
        one.backup(other)
    write_secrets(root, secrets)  # last: who has secrets has a whole database


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for each process of tests. The making of its database takes most of a first start: it is kept."""
    root = tmp_path_factory.mktemp("label-studio")
    (root / "data").mkdir()
    (root / ".uv").symlink_to(ROOT / ".uv")
    try:
        install(root)
    except GotowceError as error:
        pytest.skip(str(error))
    fresh = ROOT / ".cache" / f"label-studio-{RELEASE}"
    fresh.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with (fresh / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            is_made = read_secrets(fresh) is not None
            if is_made:
                copy_server(fresh, root)
            else:
                server = stack.enter_context(running(Paths(root), free_port(), assist=True))
                copy_server(root, fresh)
        if is_made:
            server = stack.enter_context(running(Paths(root), free_port(), assist=True))
        yield Running(server, root)


@pytest.fixture
def desk(label_studio: Running, tmp_path: Path) -> Desk:
    """A project of one video with six frames, one of them empty, served by Label Studio."""
    root = label_studio.root / "data" / tmp_path.name
    world = make_world(root, {"duel": ["hostile", "hostile", None, "neutral", "hostile", "hostile"]})
    connection = label_studio.server.connection
    return Desk(connect(connection), connection.token, world, tmp_path.name)


@pytest.fixture
def world(tmp_path: Path) -> Project:
    return make_world(tmp_path, {"duel": ["hostile", "hostile", None]})


@pytest.fixture
def model() -> Flood:
    return Flood()


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def backend(world: Project, model: Flood, logged: list[str]) -> Iterator[TestClient]:
    app = application(Assistant(world, model), logged.append, PASSWORD)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.auth = AUTH
        yield client
