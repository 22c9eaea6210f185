"""A server that is killed during a push or a pull, and restarted."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from gotowce_dagster.core.progress import Progress
from gotowce_dagster.review import pull as pulling
from gotowce_dagster.review.connection import ServerDownError, connect
from gotowce_dagster.review.server import Server, running
from tests.review.conftest import Desk, Running, copy_server, free_port
from tests.worlds import ROOT, make_world

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def _kill_at(server: Server, done: int) -> Progress:
    """A progress callback that kills the server at this progress."""
    return lambda now, total: os.killpg(server.process.pid, signal.SIGKILL) if now == done else None


def test_a_killed_server_loses_nothing(
    label_studio: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "_BATCH", 2)
    copy_server(label_studio.root, tmp_path)
    (tmp_path / ".uv").symlink_to(ROOT / ".uv")
    world = make_world(tmp_path, {"duel": ["hostile"] * 7})
    with running(world.paths, free_port()) as server:
        desk = Desk(connect(server.connection), server.connection.token, world, "killed")
        with pytest.raises(ServerDownError, match="stopped responding"):
            desk.push(_kill_at(server, 2), batch=2)

    with running(world.paths, free_port()) as server:
        desk = replace(desk, room=connect(server.connection))
        before = desk.tasks("predictions")
        assert len(before) >= 2
        assert all(len(task["predictions"]) == 1 for task in before)
        pushed = desk.push(batch=2)
        assert (pushed.created, pushed.unchanged) == (7 - len(before), len(before))
        tasks = desk.tasks("predictions")
        assert [task["data"]["frame_index"] for task in tasks] == [10 * number for number in range(7)]

        for task in tasks:
            desk.say(task, "accept")
        with pytest.raises(ServerDownError, match="stopped responding"):
            desk.pull(_kill_at(server, 2))
        assert not world.paths.reviewed("duel").exists()
        with pytest.raises(ServerDownError, match=r"does not respond.*start it with `gotowce review serve`"):
            connect(server.connection)
