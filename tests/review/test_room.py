"""The round trip with a real server: push frames, review through the API, pull."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pandas as pd
import pytest

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import LABELS, read_table, write_table
from gotowce_dagster.review import pull as pulling
from gotowce_dagster.review.connection import Connection, ServerDownError, connect
from gotowce_dagster.review.regions import Size, percent_box
from gotowce_dagster.review.room import find_project
from tests.review.conftest import Desk, Running, free_port
from tests.review.lines import cut_line
from tests.worlds import HEIGHT, WIDTH, make_world

pytestmark = pytest.mark.integration


def _change_labels(desk: Desk, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = desk.world.paths.labels("duel")
    write_table(change(read_table(path, LABELS)), LABELS, path)


def test_labels_round_trip_unchanged(desk: Desk) -> None:
    assert desk.push().created == 5
    tasks = desk.tasks("predictions")
    for task in tasks:
        desk.say(task, "accept")
    assert desk.pull().videos == ["duel"]
    labels = read_table(desk.world.paths.labels("duel"), LABELS).set_index("frame_index")
    frames = desk.reviewed("duel")
    assert sorted(frames) == [0, 10, 30, 40, 50]
    for index, frame in frames.items():
        assert frame.decision is not None
        (found,) = frame.decision.objects
        sent = labels.loc[index]
        assert found.box == pytest.approx(tuple(sent[BOX]), abs=1e-9)
        assert (found.rle, found.class_name) == (sent["rle"], sent["class_name"])
        assert [change.kind for change in frame.decision.changes] == ["none"]
        assert frame.decision.seconds == 3.5


def test_pushing_twice_creates_tasks_once(desk: Desk) -> None:
    desk.push()
    before = desk.tasks("predictions")
    again = desk.push()
    assert (again.created, again.unchanged) == (0, 5)
    assert desk.tasks("predictions") == before
    project = find_project(desk.room.client, desk.title)
    assert project is not None
    assert project.model_version == "labels"
    assert project.sampling == "Uncertainty sampling"
    assert len(desk.room.client.import_storage.local.list(project=project.id)) == 1


def test_new_labels_replace_unedited_tasks_only(desk: Desk) -> None:
    desk.push()
    first, second, third, *_ = desk.tasks("predictions")
    desk.say(first, "reject")
    desk.say(second, "accept", was_cancelled=True)
    _change_labels(desk, lambda labels: labels.assign(x1=labels["x1"] + 1, quality=0.5))
    pushed = desk.push()
    assert (pushed.created, pushed.renewed, pushed.kept) == (0, 3, 2)
    now = desk.tasks("predictions")
    assert [task["predictions"] for task in now[:2]] == [first["predictions"], second["predictions"]]
    (prediction,) = now[2]["predictions"]
    (old,) = third["predictions"]
    assert prediction["result"][0]["value"]["x"] == pytest.approx(
        old["result"][0]["value"]["x"] + 100 / WIDTH
    )
    assert desk.push().unchanged == 3


def test_an_interrupted_push_continues(desk: Desk) -> None:
    def break_off(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.push(break_off, batch=2)
    assert len(desk.tasks()) == 2
    assert desk.push(batch=2).created == 3
    assert len(desk.tasks()) == 5


def test_every_kind_of_edit_is_recorded(desk: Desk) -> None:
    desk.push()
    moved, wiped, drawn, _, skipped = desk.tasks("predictions")
    size = Size(WIDTH, HEIGHT)

    (box, mask) = moved["predictions"][0]["result"]
    value = box["value"] | percent_box((10, 20, 30, 40), size)
    desk.say(moved, "fix", [box | {"value": value}, mask])
    desk.say(wiped, "fix", [])
    new = {"id": "human", "value": box["value"] | percent_box((100.5, 50, 130, 80), size)}
    desk.say(drawn, "fix", [*drawn["predictions"][0]["result"], box | new])
    desk.say(skipped, "accept", was_cancelled=True)
    desk.pull()

    frames = desk.reviewed("duel")
    kinds = {index: [change.kind for change in frame.reviews[-1].changes] for index, frame in frames.items()}
    assert kinds == {0: ["changed"], 10: ["deleted"], 30: ["none", "added"], 50: []}
    assert frames[0].reviews[0].objects[0].box == pytest.approx((10, 20, 30, 40), abs=1e-9)
    assert frames[0].reviews[0].changes[0].moved_px == pytest.approx(18)
    assert frames[30].reviews[0].objects[1].box == pytest.approx((100.5, 50, 130, 80), abs=1e-9)
    assert (frames[50].reviews[0].state, frames[50].decision) == ("skipped", None)


def test_only_new_reviews_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_SETTLED_S", 0.0)
    desk.push()
    first, second, *_ = desk.tasks("predictions")
    desk.say(first, "accept")
    assert desk.pull().frames == 1
    assert desk.pull().frames == 0
    annotation = desk.say(second, "accept")
    assert desk.pull().frames == 1
    # The same human changes their mind, in the same annotation.
    result = [
        {"id": "v", "from_name": "verdict", "to_name": "image", "type": "choices"}
        | {"value": {"choices": ["reject"]}}
    ]
    desk.room.client.annotations.update(annotation, result=result)
    assert desk.pull().videos == ["duel"]
    (review,) = desk.reviewed("duel")[10].reviews
    assert review.verdict == "reject"
    # A file removed locally is pulled again.
    desk.world.paths.reviewed("duel").unlink()
    assert desk.pull().frames == 2


def test_two_reviewers_and_a_withdrawn_review(desk: Desk) -> None:
    desk.push()
    task, *_ = desk.tasks("predictions")
    me = desk.room.client.users.whoami().id
    other = desk.room.client.users.create(email="second@gotowce.test", username="second@gotowce.test").id
    desk.say(task, "accept")
    second = desk.say(task, "reject", completed_by=other)
    desk.pull()
    frame = desk.reviewed("duel")[0]
    judged = [(review.annotator, review.verdict) for review in frame.reviews]
    assert judged == [(me, "accept"), (other, "reject")]
    assert frame.decision == frame.reviews[1]

    desk.room.client.annotations.delete(second)
    desk.pull()
    frame = desk.reviewed("duel")[0]
    assert [review.state for review in frame.reviews] == ["done", "withdrawn"]
    assert frame.decision == frame.reviews[0]


def test_reviewed_frames_are_not_pushed_again(desk: Desk) -> None:
    few: dict[str, Any] = {"doubtful": 2, "audit_share": 0.0}
    assert desk.push(**few).created == 2
    first, second = desk.tasks("predictions")
    desk.say(first, "accept")
    # Not pulled yet: it still counts.
    assert desk.push(**few).created == 0
    desk.pull()
    pushed = desk.push(**few)
    assert (pushed.created, pushed.unchanged) == (1, 1)
    assert [task["id"] for task in desk.tasks()][:2] == [first["id"], second["id"]]
    # A task stays as it is when a label of its reviewed frame changes.
    _change_labels(desk, lambda labels: labels.assign(quality=labels["quality"] - 0.1))
    pushed = desk.push(**few)
    assert (pushed.created, pushed.renewed, pushed.kept) == (0, 2, 0)
    assert desk.tasks("predictions")[0]["predictions"] == first["predictions"]
    # A frame whose review was withdrawn is pushed again, in its old task.
    (annotation,) = desk.tasks("annotations")[0]["annotations"]
    desk.room.client.annotations.delete(annotation["id"])
    desk.pull()
    assert desk.push(**few).created == 0


def test_a_frame_extracted_again_is_pushed_again(desk: Desk) -> None:
    desk.push(select="all")
    first, *_ = desk.tasks("predictions")
    desk.say(first, "accept")
    desk.pull()
    assert desk.push(select="all").created == 0
    picture = desk.world.paths.frames("duel") / "000000.jpg"
    picture.write_bytes(picture.read_bytes() + b"another")
    assert desk.push(select="all").created == 1


def test_deleting_the_project_loses_no_reviews(desk: Desk) -> None:
    desk.push()
    for task in desk.tasks("predictions")[:3]:
        desk.say(task, "accept")
    desk.pull()
    before = desk.world.paths.reviewed("duel").read_bytes()
    project = find_project(desk.room.client, desk.title)
    assert project is not None
    desk.room.client.projects.delete(project.id)
    assert desk.pull().project is None
    assert desk.push().created == 2
    assert desk.pull(again=True).videos == []
    assert desk.world.paths.reviewed("duel").read_bytes() == before


def test_an_edited_page_is_kept_or_refused(desk: Desk) -> None:
    desk.push()
    project = find_project(desk.room.client, desk.title)
    assert project is not None
    theirs = str(project.label_config).replace('value="blur"', 'value="too dark"')
    desk.room.client.projects.update(project.id, label_config=theirs)
    _change_labels(desk, lambda labels: labels.assign(class_name="a new & <odd> one"))
    assert desk.push().renewed == 5
    config = str(desk.room.client.projects.get(project.id).label_config)
    assert "too dark" in config
    assert "a new &amp; &lt;odd&gt; one" in config

    desk.room.client.projects.update(project.id, label_config=theirs.replace('name="box"', 'name="boxes"'))
    with pytest.raises(InputError, match="it lacks box"):
        desk.push()


def test_a_class_missing_from_the_page_is_never_pushed(desk: Desk) -> None:
    with pytest.raises(InputError, match="labels have the class neutral"):
        desk.push(classes=["hostile"])
    desk.push()
    with pytest.raises(InputError, match="created for the other form"):
        desk.push(masks="polygon")


def test_a_prediction_that_does_not_fit_the_page_is_reported(desk: Desk) -> None:
    desk.push(doubtful=0, audit_share=0.0, classes=["hostile", "neutral"])
    project = find_project(desk.room.client, desk.title)
    assert project is not None
    boxes, masks = str(project.label_config).split("<BitmaskLabels")
    theirs = masks.replace('<Label value="neutral"', '<Label value="other"')
    desk.room.client.projects.update(project.id, label_config=f"{boxes}<BitmaskLabels{theirs}")
    pushed = desk.push()
    assert pushed.created == 4
    (problem,) = pushed.problems
    assert problem.startswith("duel frame 30: ")
    assert 30 not in [task["data"]["frame_index"] for task in desk.tasks()]


def test_polygons(desk: Desk) -> None:
    desk.push(masks="polygon")
    task, *_ = desk.tasks("predictions")
    desk.say(task, "accept")
    desk.pull()
    decision = desk.reviewed("duel")[0].decision
    assert decision is not None
    assert [change.kind for change in decision.changes] == ["none"]
    labels = read_table(desk.world.paths.labels("duel"), LABELS)
    assert decision.objects[0].rle == labels["rle"][0]


def test_names_in_any_script(label_studio: Running) -> None:
    video = "bitwa-łódź 船 (1)"
    # In the folder that the server belongs to, so that it serves the images.
    world = make_world(label_studio.root, {video: ["hostile", "hostile"]})
    token = label_studio.server.connection.token
    desk = Desk(connect(label_studio.server.connection), token, world, "odd ąę")
    assert desk.push(audit_share=1.0).created == 2
    assert desk.push(audit_share=1.0).unchanged == 2
    task, *_ = desk.tasks("predictions")
    picture = httpx.get(
        f"{desk.room.url}{task['data']['image']}", headers={"Authorization": f"Token {desk.token}"}
    )
    assert picture.content == (world.paths.frames(video) / "000000.jpg").read_bytes()
    desk.say(task, "accept")
    assert desk.pull().videos == [video]
    assert desk.reviewed(video)[0].sample == "audit"


def test_a_server_failure_midway_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_BATCH", 2)
    monkeypatch.setattr("label_studio_sdk.core.http_client.INITIAL_RETRY_DELAY_SECONDS", 0.05)
    token = desk.token

    with cut_line(desk.room.url) as line, pytest.raises(ServerDownError, match="stopped responding"):
        replace(desk, room=connect(Connection(line.url, token))).push(line.cut_at(2), batch=2)
    assert len(desk.tasks()) == 2
    assert desk.push().created == 3

    for task in desk.tasks("predictions"):
        desk.say(task, "accept")
    with cut_line(desk.room.url) as line, pytest.raises(ServerDownError, match="stopped responding"):
        replace(desk, room=connect(Connection(line.url, token))).pull(line.cut_at(2))
    assert not desk.world.paths.reviewed("duel").exists()
    assert desk.pull().frames == 5


@pytest.mark.filterwarnings("ignore:The `parse_obj` method:DeprecationWarning")  # inside the SDK
def test_a_personal_access_token_works(label_studio: Running) -> None:
    server = label_studio.server
    with httpx.Client(base_url=server.connection.url, follow_redirects=True) as person:
        person.get("/user/login")
        login = {"email": server.email, "password": server.password}
        person.post("/user/login", data=login | {"csrfmiddlewaretoken": person.cookies["csrftoken"]})
        made = person.post("/api/token/", headers={"X-CSRFToken": person.cookies["csrftoken"]})
    room = connect(Connection(server.connection.url, made.json()["token"]))
    assert room.client.users.whoami().email == server.email


def test_no_server_is_one_clear_sentence() -> None:
    with pytest.raises(ServerDownError, match=r"does not respond at .*start it with `gotowce review serve`"):
        connect(Connection(f"http://127.0.0.1:{free_port()}", "token"))


@pytest.mark.parametrize("token", ["0" * 40, "no token"])
def test_a_wrong_token_is_one_clear_sentence(label_studio: Running, token: str) -> None:
    with pytest.raises(InputError, match="rejects the token; set LABEL_STUDIO_API_KEY"):
        connect(Connection(label_studio.server.connection.url, token))
