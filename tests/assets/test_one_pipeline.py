"""One pipeline: what Dagster made is done for DVC, and what DVC made is done for Dagster."""

import os
import subprocess
from pathlib import Path

import dagster as dg
import pytest
import yaml

from gotowce_dagster.assets.sensors import dvc_lock, new_videos
from gotowce_dagster.config.project import Project
from gotowce_dagster.definitions import defs
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address, stage_name
from gotowce_dagster.stages.table import STAGES
from tests.support.small_project import PROFILE, small_params
from tests.support.synthetic import Bracket, Scene, Target, write_scene
from tests.worlds import merged

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("warm_workers"),
]

SMALL = small_params(
    finetuned_model={"epochs": 1, "imgsz": 64, "crops": None},
    segment_everything={"frames": 2, "superpixels": 50},
)
NEVER_RUN = [stage_address(stage.name, None) for stage in STAGES.values() if stage.needs_models]
SUMMING = (("train_model", None), ("run_studies", None))


def film(path: Path, seed: int) -> Path:
    target = Target(start=(40, 50), velocity=(2, 1), bracket=Bracket())
    write_scene(
        path, Scene(targets=(target,), frames=60, size=(320, 180), absent=(range(28, 34),), seed=seed)
    )
    return path


def change(project: Project, **sections: dict) -> None:
    """Edit params.yaml."""
    content = yaml.safe_load(project.paths.params.read_text(encoding="utf-8"))
    for name, values in sections.items():
        content[name] = merged(content[name], values)
    project.paths.params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@pytest.fixture
def project(clone: Project, tmp_path: Path) -> Project:
    """A clone with two short videos, everything small so that the whole pipeline runs in seconds."""
    change(clone, **SMALL)
    (clone.paths.profiles / "synthetic.toml").write_text(PROFILE, encoding="utf-8")
    for seed in (1, 2):
        intake.add(clone, film(tmp_path / f"scene_{seed}.mp4", seed))
    intake.sync(clone)
    return Project(clone.paths)


def names(project: Project) -> list[str]:
    """Every stage of every video, as people call them."""
    videos = Project(project.paths).videos
    return [
        stage_name(stage.name, video)
        for stage in STAGES.values()
        if not stage.needs_models
        for video in (videos if stage.per_video else [None])
    ]


def materialize_all(project: Project, instance: dg.DagsterInstance) -> dict[str, str]:
    """Run all jobs over everything; how each stage came about, by its name."""
    videos = list(Project(project.paths).videos)
    instance.add_dynamic_partitions("videos", videos)
    hows, definitions = {}, defs()
    for job, video in [*(("label_videos", video) for video in videos), *SUMMING]:
        result = definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key=video)
        assert result.success
        for event in result.get_asset_materialization_events():
            made = event.materialization
            if "how" in made.metadata:
                hows[stage_name(made.asset_key.path[-1], video)] = str(made.metadata["how"].value)
    return hows


def computed(hows: dict[str, str]) -> set[str]:
    return {name for name, how in hows.items() if how == "computed"}


def test_what_dagster_made_is_done_for_dvc(project: Project, tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert computed(materialize_all(project, instance)) == set(names(project))
        repo = DvcRepo(project.paths.root)
        assert repo.stale() == NEVER_RUN
        repro = subprocess.run(
            ["dvc", "repro"], cwd=project.paths.root, capture_output=True, text=True, check=True
        )
        assert "Running stage" not in repro.stdout

        # A parameter changed: only what depends on it is computed.
        rules = project.params.cleaned_labels.model_dump()["rules"]
        change(project, cleaned_labels={"rules": rules | {"sharp": rules["sharp"] | {"mode": "off"}}})
        assert stage_address("extracted_frames", "scene_1") not in repo.stale()
        after = computed(materialize_all(project, instance))
        assert after >= {"cleaned_labels@scene_1", "cleaned_labels@scene_2"}
        assert not any(name.startswith(("extracted", "designator", "masks")) for name in after)

        # Changed back: what was computed before is restored.
        change(project, cleaned_labels={"rules": rules})
        hows = materialize_all(project, instance)
        assert hows["cleaned_labels@scene_1"] == "restored from DVC's run cache"
        assert computed(hows) == set()

        # One more video costs that video, and what sums up all of them.
        intake.add(project, film(tmp_path / "scene_3.mp4", 3))
        intake.sync(Project(project.paths))
        third = {name for name in names(project) if name.endswith("@scene_3")}
        of_all = {s.name for s in STAGES.values() if not s.per_video and not s.needs_models}
        assert computed(materialize_all(project, instance)) == third | of_all
        assert repo.stale() == NEVER_RUN


def test_what_dvc_made_is_done_for_dagster(project: Project) -> None:
    root = project.paths.root
    subprocess.run(["dvc", "repro", "-q"], cwd=root, check=True)
    studies = [stage_address(stage.name, None) for stage in STAGES.values() if stage.is_study]
    assert DvcRepo(root).stale() == sorted(studies), "they run only when asked for"
    subprocess.run(["dvc", "repro", "-q", *sorted(set(studies) - set(NEVER_RUN))], cwd=root, check=True)
    assert DvcRepo(project.paths.root).stale() == NEVER_RUN
    with dg.DagsterInstance.ephemeral() as instance:
        for video in project.videos:
            os.utime(project.raw(video), (0, 0))  # as if copied long ago
        with dg.build_sensor_context(instance) as context:
            asked = new_videos(context)
        assert isinstance(asked, dg.SensorResult)
        assert asked.run_requests == []
        instance.add_dynamic_partitions("videos", list(project.videos))

        with dg.build_sensor_context(instance) as context:
            reported = dvc_lock(context)
        assert isinstance(reported, dg.SensorResult)
        events = {stage_name(event.asset_key.path[-1], event.partition) for event in reported.asset_events}
        assert events == set(names(project))
        for event in reported.asset_events:
            instance.report_runless_asset_event(event)
        with dg.build_sensor_context(instance, cursor=reported.cursor) as context:
            assert isinstance(dvc_lock(context), dg.SkipReason)
        with dg.build_sensor_context(instance) as context:  # a lost cursor reports nothing twice either
            assert isinstance(dvc_lock(context), dg.SkipReason)

        assert computed(materialize_all(project, instance)) == set()
