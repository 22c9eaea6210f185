"""The whole loop with a real server: push, review, pull, then a new dataset, model and evaluation."""

import json
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from gotowce_dagster.assets.checks import automatic_labels_right_enough
from gotowce_dagster.assets.review import reviews_version
from gotowce_dagster.assets.sensors import reviews
from gotowce_dagster.cli.main import app
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.definitions import defs
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.labels.in_force import reviews_in_force
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.review.connection import ServerDownError, connect
from gotowce_dagster.review.regions import Size, percent_box
from gotowce_dagster.review.room import find_project, list_tasks
from gotowce_dagster.review.video_room import title_of
from tests.assets.test_one_pipeline import PROFILE, SMALL, change
from tests.conftest import make_clone
from tests.review.conftest import Desk, Running, free_port
from tests.support.synthetic import Bracket, Scene, Target, write_scene
from tests.support.ticks import tick

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_LAST = ("yolo_dataset", "finetuned_model", "evaluation")
_SIZE = Size(640, 360)


@pytest.fixture(scope="module")
def desk(label_studio: Running, template: Path) -> Iterator[Desk]:
    with labelled(label_studio, template, "loop") as made:
        yield made


def _film(path: Path) -> Path:
    """A video with enough frames to review some and to train on others; twelve of them without a mark."""
    target = Target(start=(80, 90), velocity=(4, 1.5), bracket=Bracket())
    size = (_SIZE.width, _SIZE.height)
    write_scene(path, Scene(targets=(target,), frames=120, size=size, absent=(range(50, 62),), seed=1))
    return path


@contextmanager
def labelled(label_studio: Running, template: Path, name: str) -> Generator[Desk, None, None]:
    """A clone with one short labelled video that the server can read."""
    connection = label_studio.server.connection
    with pytest.MonkeyPatch.context() as patch:
        world = make_clone(template, label_studio.root / "data" / name, patch)
        patch.setenv("LABEL_STUDIO_URL", connection.url)
        patch.setenv("LABEL_STUDIO_API_KEY", connection.token)
        change(
            world,
            **SMALL,
            review={
                "tasks": {"project": f"the {name}", "audit_share": 0.5, "verdicts": ["accept", "review"]},
                "sensor": {"every_s": 60, "at_least": 4, "max_error_rate": 0.1},
            },
        )
        (world.paths.profiles / "synthetic.toml").write_text(PROFILE, encoding="utf-8")
        (label_studio.root / name).mkdir()
        intake.add(world, _film(label_studio.root / name / "scene_1.mp4"))
        intake.sync(world)
        world = Project(world.paths)
        repro(world, "yolo_dataset")
        yield Desk(connect(connection), connection.token, world, f"the {name}")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("videos", ["scene_1"])
        yield made


def repro(world: Project, *targets: str) -> list[str]:
    """Run `dvc repro`; returns the stages that it ran."""
    command = ["dvc", "repro", *targets]
    done = subprocess.run(command, cwd=world.paths.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


def _materialize(
    instance: dg.DagsterInstance, asset: str, raise_on_error: bool = True
) -> dg.ExecuteInProcessResult:
    job = defs().resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=raise_on_error
    )


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def _provenance(world: Project) -> Any:
    """The images as recorded, by frame; not their copies without marks, nor frames with unknown targets."""
    rows = read_table(world.paths.dataset / "provenance.parquet", PROVENANCE)
    return rows[rows["kind"] == "as-is"].set_index("frame_index")


def _evaluation(world: Project) -> dict[str, Any]:
    return json.loads((world.paths.evaluation / "metrics.json").read_text(encoding="utf-8"))


def _untouched(desk: Desk) -> list[dict[str, Any]]:
    return [task for task in desk.tasks("predictions", "annotations") if not task["annotations"]]


def test_from_push_to_a_new_model(desk: Desk, instance: dg.DagsterInstance) -> None:
    world = desk.world
    before = _provenance(world)

    metadata = _metadata(_materialize(instance, "review_tasks"))
    tasks = {task["data"]["frame_index"]: task for task in desk.tasks("predictions")}
    assert metadata["created"] == len(tasks) >= 12
    assert metadata["project"].startswith(f"{desk.room.url}/projects/")
    assert metadata["picture"].startswith("![first frames of the queue](data:image/jpeg;base64,")
    assert _metadata(_materialize(instance, "review_tasks"))["unchanged"] == len(tasks)

    taught = list(before.query("split == 'train' and objects == 1").index)
    tested = list(before.query("split == 'test' and objects == 1").index)
    mended, empty, rejected, skipped = taught[:4]
    (box, mask) = tasks[mended]["predictions"][0]["result"]
    drawn = box | {"id": "new", "value": box["value"] | percent_box((500, 300, 540, 330), _SIZE)}
    desk.say(tasks[mended], "fix", [box, mask, drawn])
    desk.say(tasks[empty], "accept", [])
    desk.say(tasks[rejected], "reject")
    desk.say(tasks[skipped], "accept", was_cancelled=True)
    for index in tested:
        desk.say(tasks[index], "accept")

    # Dagster: the sensor pulls the reviews and requests the downstream assets.
    asked, cursor = tick(reviews, instance)
    assert isinstance(asked, dg.SensorResult)
    assert len(asked.run_requests or []) == 1
    assert [event.asset_key.path for event in asked.asset_events] == [["reviewed_labels"]]
    judged = 3 + len(tested)
    assert asked.asset_events[0].metadata["frames_reviewed"].value == judged
    assert DvcRepo(world.paths.root).is_recorded(world.paths.reviewed("scene_1"))
    assert isinstance(tick(reviews, instance, cursor)[0], dg.SkipReason)
    assert defs().resolve_job_def("train_model").execute_in_process(instance=instance).success

    after = _provenance(world)
    human = after[after["reviewed"]]
    # Reviews move the borders between the splits a little: frames may fall into a gap.
    assert {mended, empty} < set(human.index) <= {mended, empty, *tested}
    assert human["annotator"].eq(1).all()
    assert (after.loc[mended, "objects"], after.loc[empty, "objects"]) == (2, 0)
    assert rejected not in after.index
    assert not after.loc[skipped, "reviewed"]
    metrics = _evaluation(world)
    assert metrics["review"]["frames_reviewed"] == judged
    assert metrics["model_test"]["truth"]["reviews"] == human["split"].eq("test").sum() >= 1
    assert metrics["model_truth"]["truth"] == {"reviews": 2 + len(tested)}
    assert metrics["model_truth_apart"]["truth"]["reviews"] >= 1
    assert metrics["targets"]["truths"] == 2 + len(tested)
    report = (world.paths.evaluation / "report.html").read_text(encoding="utf-8")
    assert "Human review" in report
    assert "edits per 100 frames" in report
    card = (world.paths.model / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{len(human)} of {len(after)} images" in card

    # DVC has nothing left to do. Reviewing the skipped frame reruns only the last three stages.
    assert repro(world, "evaluation") == []
    desk.say(tasks[skipped], "reject")
    assert CliRunner().invoke(app, ["review", "pull"]).exit_code == 0
    assert repro(world, "evaluation") == list(_LAST)
    assert skipped not in _provenance(world).index
    assert repro(world, "evaluation") == []

    # A review that does not change the dataset reruns the evaluation, but not the training.
    desk.say(tasks[rejected], "reject")
    few, cursor = tick(reviews, instance, cursor)
    assert isinstance(few, dg.SensorResult)
    assert not few.run_requests
    assert set(repro(world, "evaluation")) == {"yolo_dataset", "evaluation"}


def test_the_asset_pulls_reviews_and_the_check_warns(desk: Desk, instance: dg.DagsterInstance) -> None:
    for task in _untouched(desk):
        desk.say(task, "reject")
    metadata = _metadata(_materialize(instance, "reviewed_labels"))
    assert metadata["share_reviewed"] == 1
    assert metadata["frames_read"] >= 1
    assert 0 < metadata["error_rate_low"] < metadata["error_rate"] <= metadata["error_rate_high"] <= 1
    assert metadata["edits_per_100_frames"] > 0
    found = automatic_labels_right_enough()
    assert isinstance(found, dg.AssetCheckResult)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "audited frames have a wrong automatic label" in str(found.description)


def test_without_a_server_nothing_is_lost(
    desk: Desk, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = desk.world.paths.reviewed("scene_1")
    before = file.read_bytes()
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{free_port()}")
    failed = _materialize(instance, "review_tasks", raise_on_error=False)
    assert not failed.success
    (event,) = (event for event in failed.all_events if event.is_step_failure)
    assert "start it with `gotowce review serve`" in str(event.step_failure_data.error)
    metadata = _metadata(_materialize(instance, "reviewed_labels"))
    assert metadata["how"].startswith("no reviews read, nothing changed: Label Studio does not respond")
    assert metadata["frames_reviewed"] == sum(
        frame.decision is not None for frame in read_reviewed(file).frames
    )
    by_hand = CliRunner().invoke(app, ["review", "pull"])
    assert isinstance(by_hand.exception, ServerDownError)
    metadata = json.loads(CliRunner().invoke(app, ["review", "status", "--json"]).stdout)
    assert metadata["frames_reviewed"] >= 1
    assert metadata["server"].startswith("Label Studio does not respond at")
    assert file.read_bytes() == before
    newest = max(frame.reviews[-1].at for frame in read_reviewed(file).frames)
    skipped, _ = tick(reviews, instance, newest.isoformat())
    assert "does not respond" in str(getattr(skipped, "skip_message", ""))

    monkeypatch.delenv("LABEL_STUDIO_URL")
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    skipped, _ = tick(reviews, instance, newest.isoformat())
    assert "this project has no Label Studio yet" in str(getattr(skipped, "skip_message", ""))


def test_reviews_pulled_by_somebody_else_are_noticed(
    desk: Desk, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{free_port()}")
    asked, _ = tick(reviews, instance)
    assert isinstance(asked, dg.SensorResult)
    assert len(asked.run_requests or []) == 1
    assert reviews_in_force(desk.world, "scene_1")


def test_model_disagreements_are_pushed(desk: Desk) -> None:
    change(desk.world, review={"tasks": {"project": "by the model"}})
    done = CliRunner().invoke(app, ["review", "push", "--ranked-by", "model", "--json"])
    assert done.exit_code == 0, done.output
    metadata = json.loads(done.stdout)
    assert metadata["looked_at"] >= 1


def test_reviewed_tracks_are_a_source_too(desk: Desk) -> None:
    world = desk.world
    assert CliRunner().invoke(app, ["review", "push-video", "scene_1"]).exit_code == 0
    project = find_project(desk.room.client, title_of(Project(world.paths)))
    assert project is not None
    (task,) = list_tasks(desk.room.client, project.id, ("id", "predictions", "result"))
    desk.room.client.annotations.create(task["id"], result=task["predictions"][0]["result"])
    before = reviews_version(world.paths)
    done = CliRunner().invoke(app, ["review", "pull-video", "scene_1", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["objects"] >= 1
    file = world.paths.reviewed_tracks("scene_1")
    assert DvcRepo(world.paths.root).is_recorded(file)
    assert reviews_version(world.paths) != before, "Dagster sees that the dataset is out of date"
    # Git shows DVC's pointer file for the next commit, not the file itself.
    seen = subprocess.run(
        ["git", "status", "--short", "--untracked-files=all", "data/reviewed"],
        cwd=world.paths.root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "data/reviewed/tracks/scene_1.json.dvc" in seen
    assert "data/reviewed/tracks/scene_1.json" not in seen
    file.unlink()
    subprocess.run(["dvc", "checkout", f"{file}.dvc"], cwd=world.paths.root, check=True, capture_output=True)
    assert file.exists()
