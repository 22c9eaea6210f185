"""What happens outside Dagster and is shown here: new videos, stages that `dvc repro` ran, reviews, kills."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from gotowce_dagster import intake
from gotowce_dagster.assets.jobs import label_videos, train_model
from gotowce_dagster.assets.materialize import LOCK_FINGERPRINT, lock_metadata
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.review import reviewed_labels, reviewed_metadata, reviews_version
from gotowce_dagster.assets.runs import release_dead_runs
from gotowce_dagster.assets.versions import code_version
from gotowce_dagster.dvc_repo import DvcRepo, fingerprint, output_digest, stage_name
from gotowce_dagster.errors import GotowceError
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.project import Project
from gotowce_dagster.review.connection import ServerDownError, connect, find
from gotowce_dagster.stages.table import STAGES

# A file that grew in this time is still being copied.
_SETTLED_S = 10.0


@dg.sensor(job=label_videos, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def new_videos(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Give each new video in data/raw a partition and label it, once its copying has come to rest."""
    project = Project.find()
    sizes = {file.name: file.stat().st_size for file in _files(project)}
    before = json.loads(context.cursor or "{}")
    if copying := [file.name for file in _files(project) if _is_copying(file, before)]:
        context.update_cursor(json.dumps(sizes))
        return dg.SkipReason(f"still being copied: {', '.join(copying)}")
    try:
        labelled = DvcRepo(project.paths.root).lock_entries(wait=False)
        intake.sync(project)
    except GotowceError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions("videos"))
    new = [video for video in Project.find().videos if video not in known]
    if not new:
        return dg.SkipReason("no new video")
    return dg.SensorResult(
        dynamic_partitions_requests=[VIDEOS.build_add_request(new)],
        run_requests=[
            dg.RunRequest(partition_key=video, run_key=video)
            for video in new
            if stage_name("cleaned_labels", video) not in labelled
        ],
        cursor=json.dumps(sizes),
    )


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def dvc_lock(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Report what `dvc repro` made as materialized, so that no run is needed for it."""
    project = Project.find()
    try:
        entries = DvcRepo(project.paths.root).lock_entries(wait=False)
    except GotowceError as error:
        return dg.SkipReason(str(error))
    seen = json.loads(context.cursor or "{}")
    now = {name: fingerprint(entry) for name, entry in entries.items()}
    videos = set(context.instance.get_dynamic_partitions("videos")) & set(project.videos)
    events = [
        event
        for stage, video in _in_order(videos)
        if (name := stage_name(stage, video)) in now and seen.get(name) != now[name]
        for event in _materialization(context.instance, project, stage, video, entries[name])
    ]
    # Entries of videos that have no partition yet stay unseen until they have one.
    reported = {stage_name(stage, video) for stage, video in _in_order(videos)}
    cursor = json.dumps({name: mark for name, mark in now.items() if name in reported})
    if not events:
        context.update_cursor(cursor)
        return dg.SkipReason("dvc.lock tells nothing new")
    return dg.SensorResult(asset_events=events, cursor=cursor)


@dg.sensor(
    job=train_model,
    minimum_interval_seconds=Project.find().params.reviews.every_s,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def reviews(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Bring home what reviewers said; after enough of it, ask for dataset, model and evaluation anew.

    Without a server it looks at what is home already: somebody may have pulled it.
    """
    project = Project.find()
    try:
        state = _bring_home(project)
        events = _reviews_materialization(context.instance, project)
        judged = _judgements(project)
    except GotowceError as error:
        return dg.SkipReason(str(error))
    asked = datetime.fromisoformat(context.cursor) if context.cursor else datetime.min.replace(tzinfo=UTC)
    new = [time for time in judged if time > asked]
    at_least = project.params.reviews.at_least
    if len(new) < at_least:
        state = f"{len(new)} new judgements of the {at_least} that a new model needs; {state}"
        return dg.SensorResult(asset_events=events) if events else dg.SkipReason(state)
    newest = max(new).isoformat()
    request = dg.RunRequest(run_key=newest, tags={"reviews": f"{len(new)} new judgements"})
    return dg.SensorResult(asset_events=events, run_requests=[request], cursor=newest)


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Mark runs as failed whose process was killed: they hold places in the queue and slots of pools."""
    dead = release_dead_runs(context.instance)
    return dg.SkipReason(f"killed runs: {', '.join(dead)}" if dead else "no run was killed")


def _bring_home(project: Project) -> str:
    """Read what is new, and say what there is to say."""
    try:
        intake.pull_reviews(project, connect(find(project.paths.root)))
    except ServerDownError as error:
        intake.keep_reviews(project.paths)
        return str(error)
    return "Label Studio was asked"


def _judgements(project: Project) -> list[datetime]:
    """When each frame was judged as it is judged now."""
    return [
        frame.decision.at
        for file in project.paths.reviewed_videos.glob("*.json")
        for frame in read_reviewed(file).frames
        if frame.decision
    ]


def _reviews_materialization(instance: dg.DagsterInstance, project: Project) -> list[dg.AssetMaterialization]:
    """The event to report for the reviews that are home; none if Dagster knows them."""
    version = reviews_version(project.paths)
    event = instance.get_latest_materialization_event(reviewed_labels.key)
    known = event.asset_materialization if event else None
    nothing_said = known is None and not any(project.paths.reviewed_videos.rglob("*.json"))
    if nothing_said or (known and (known.tags or {}).get("dagster/data_version") == version):
        return []
    tags = {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}
    how = {"how": dg.MetadataValue.text("by the sensor or `gotowce review pull`")}
    metadata = reviewed_metadata(project) | how
    return [dg.AssetMaterialization(reviewed_labels.key, metadata=metadata, tags=tags)]


def _in_order(videos: set[str]) -> Iterator[tuple[str, str | None]]:
    for stage in STAGES.values():
        for video in sorted(videos) if stage.per_video else [None]:
            yield stage.name, video


def _materialization(
    instance: dg.DagsterInstance, project: Project, stage: str, video: str | None, entry: dict
) -> list[dg.AssetMaterialization]:
    """The event to report for a lock entry; none if Dagster itself made that entry."""
    key = dg.AssetKey(stage)
    filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[video] if video else None)
    records = instance.fetch_materializations(filters, limit=1).records
    known = records[0].asset_materialization.metadata if records and records[0].asset_materialization else {}
    if LOCK_FINGERPRINT in known and known[LOCK_FINGERPRINT].value == fingerprint(entry):
        return []
    tags = {
        "dagster/data_version": output_digest(entry),
        "dagster/data_version_is_user_provided": "true",
        "dagster/code_version": code_version(project.paths, stage),
    }
    metadata = lock_metadata(project, STAGES[stage], video, entry) | {
        "how": dg.MetadataValue.text("by dvc repro")
    }
    return [dg.AssetMaterialization(key, partition=video, metadata=metadata, tags=tags)]


def _files(project: Project) -> list:
    return [file for file in project.paths.raw.iterdir() if file.suffix.lower() in intake.VIDEO_SUFFIXES]


def _is_copying(file, before: dict[str, int]) -> bool:
    stat = file.stat()
    return stat.st_size != before.get(file.name, stat.st_size) or time.time() - stat.st_mtime < _SETTLED_S
