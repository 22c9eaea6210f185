"""Sensors of changes outside Dagster: new videos, stages run by `dvc repro`, reviews, killed runs."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg

from gotowce_dagster.assets.jobs import label_videos, train_model
from gotowce_dagster.assets.materialize import LOCK_FINGERPRINT, lock_metadata
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.review import reviewed_labels, reviewed_metadata, reviews_version
from gotowce_dagster.assets.runs import release_dead_runs
from gotowce_dagster.assets.versions import code_version
from gotowce_dagster.config.project import Project, listed_videos
from gotowce_dagster.core.errors import GotowceError, PartlyDoneError, one_sentence
from gotowce_dagster.core.sources import not_pulled, pointer, require_pulled, tracked_files
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo, fingerprint, output_digest, stage_name
from gotowce_dagster.intake.raw_folder import entries
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.review.connection import ServerDownError, connect, find
from gotowce_dagster.stages.table import STAGES

# A file that changed within this time is still being copied.
_SETTLED_S = 10.0


@dg.sensor(job=label_videos, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def new_videos(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Add a partition for each new video in data/raw and label it, once it is completely copied.

    A video that is not pulled gets its partition too, and is labelled once it is pulled. The partition of a
    removed or renamed video is deleted.
    """
    project = Project.find()
    sizes = _sizes(project)
    cursor = json.loads(context.cursor or "{}")
    waiting, before = set(cursor.get("not_pulled", [])), cursor.get("sizes", {})
    copying = [
        name for name, (size, changed) in sizes.items() if _is_copying(size, changed, before.get(name))
    ]
    notes = [f"still being copied: {', '.join(copying)}"] if copying else []
    try:
        labelled = DvcRepo(project.paths.root).lock_entries(wait=False)
        notes += intake.sync(project, leave=copying)
    except PartlyDoneError as error:
        notes.append(str(error))
    except (GotowceError, OSError) as error:
        return dg.SkipReason(one_sentence(error, ""))
    project = Project.find()
    videos = listed_videos(project.paths)
    existing = set(context.instance.get_dynamic_partitions("videos"))
    new = [video for video in videos if video not in existing]
    removed = sorted(existing - set(videos))
    absent = {video for video in videos if project.raw_state(video) != "here"}
    to_label = [
        video
        for video in videos
        if (video in new or video in waiting)
        and video not in absent
        and stage_name("cleaned_labels", video) not in labelled
    ]
    new_cursor = {"sizes": {name: size for name, (size, _) in sizes.items()}, "not_pulled": sorted(absent)}
    notes += _absent_in_words(project)
    if not new and not removed and not to_label:
        context.update_cursor(json.dumps(new_cursor))
        return dg.SkipReason("; ".join(["no new video", *notes]))
    for note in notes:
        context.log.warning(note)
    requests = [
        *([VIDEOS.build_add_request(new)] if new else []),
        *([VIDEOS.build_delete_request(removed)] if removed else []),
    ]
    return dg.SensorResult(
        dynamic_partitions_requests=requests,
        run_requests=[
            dg.RunRequest(partition_key=video, run_key=_run_key(project, video)) for video in to_label
        ],
        cursor=json.dumps(new_cursor),
    )


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def dvc_lock(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Report outputs of `dvc repro` as materialized, so that they need no run.

    Outputs that are recorded but not pulled are reported once they are pulled.
    """
    project = Project.find()
    try:
        lock = DvcRepo(project.paths.root).lock_entries(wait=False)
    except (GotowceError, OSError) as error:
        return dg.SkipReason(one_sentence(error, ""))
    seen = json.loads(context.cursor or "{}")
    current = {name: fingerprint(entry) for name, entry in lock.items()}
    videos = set(context.instance.get_dynamic_partitions("videos")) & set(listed_videos(project.paths))
    events, reported, absent, problems = [], set[str](), [], []
    for stage, video in _in_order(videos):
        name = stage_name(stage, video)
        if name not in current:
            continue
        try:
            if seen.get(name) != current[name]:
                if not _is_here(project, lock[name]):
                    absent.append(name)
                    continue
                events += _materialization(context.instance, project, stage, video, lock[name])
            reported.add(name)
        except (GotowceError, OSError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{name}: {one_sentence(error, name)}")
    if absent:
        problems.append(f"not pulled: {', '.join(absent)}: run `dvc pull`")
    # Entries that could not be reported, or whose video has no partition yet, are retried later.
    cursor = json.dumps({name: mark for name, mark in current.items() if name in reported})
    if not events:
        context.update_cursor(cursor)
        return dg.SkipReason("; ".join(["no new outputs in dvc.lock", *problems]))
    for problem in problems:
        context.log.warning(problem)
    return dg.SensorResult(asset_events=events, cursor=cursor)


def reviews_sensor(every_s: int) -> dg.SensorDefinition:
    """The sensor `reviews`, asking Label Studio every so many seconds."""
    return dg.SensorDefinition(
        name="reviews",
        evaluation_fn=reviews,
        job=train_model,
        minimum_interval_seconds=every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=reviews.__doc__,
    )


def reviews(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Pull reviews, and after enough new ones request dataset, model and evaluation.

    Without a server it still checks the pulled reviews, because somebody else may have pulled them.
    """
    project = Project.find()
    try:
        state = _pull_reviews(project)
        events = _reviews_materialization(context.instance, project)
        review_times = _review_times(project)
    except GotowceError as error:
        return dg.SkipReason(str(error))
    requested = datetime.fromisoformat(context.cursor) if context.cursor else datetime.min.replace(tzinfo=UTC)
    new = [time for time in review_times if time > requested]
    at_least = project.params.review.sensor.at_least
    if len(new) < at_least:
        state = f"{len(new)} new reviews of the {at_least} that a new model needs; {state}"
        return dg.SensorResult(asset_events=events) if events else dg.SkipReason(state)
    newest = max(new).isoformat()
    request = dg.RunRequest(run_key=newest, tags={"reviews": f"{len(new)} new reviews"})
    return dg.SensorResult(asset_events=events, run_requests=[request], cursor=newest)


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Mark killed runs as failed, because they occupy the queue and pool slots."""
    dead = release_dead_runs(context.instance)
    return dg.SkipReason(f"killed runs: {', '.join(dead)}" if dead else "no run was killed")


def _pull_reviews(project: Project) -> str:
    """Pull new reviews; returns a sentence about the result."""
    try:
        intake.pull_reviews(project, connect(find(project.paths.root)))
    except ServerDownError as error:
        intake.keep_reviews(project.paths)
        return str(error)
    return "reviews were pulled from Label Studio"


def _review_times(project: Project) -> list[datetime]:
    """The time of each frame's current decision.

    Raises:
        InputError: A review file is damaged or not pulled.
    """
    require_pulled(tracked_files(project.paths.reviewed_videos))
    return [
        frame.decision.at
        for file in project.paths.reviewed_videos.glob("*.json")
        for frame in read_reviewed(file).frames
        if frame.decision
    ]


def _reviews_materialization(instance: dg.DagsterInstance, project: Project) -> list[dg.AssetMaterialization]:
    """The event to report for pulled reviews; none if Dagster already has it."""
    version = reviews_version(project.paths)
    event = instance.get_latest_materialization_event(reviewed_labels.key)
    existing = event.asset_materialization if event else None
    has_no_reviews = existing is None and not any(project.paths.reviewed_videos.rglob("*.json"))
    if has_no_reviews or (existing and (existing.tags or {}).get("dagster/data_version") == version):
        return []
    tags = {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}
    how = {"how": dg.MetadataValue.text("by the sensor or `gotowce review pull`")}
    metadata = reviewed_metadata(project) | how
    return [dg.AssetMaterialization(reviewed_labels.key, metadata=metadata, tags=tags)]


def _in_order(videos: set[str]) -> Iterator[tuple[str, str | None]]:
    for stage in STAGES.values():
        for video in sorted(videos) if stage.per_video else [None]:
            yield stage.name, video


def _is_here(project: Project, entry: dict) -> bool:
    """Whether a stage's output exists on disk, and the videos that its preview needs."""
    paths = [entry_path["path"] for entry_path in (*entry["outs"], *entry.get("deps", ()))]
    needed = [path for path in paths if path.startswith("data/raw/")] + [entry["outs"][0]["path"]]
    return all((project.paths.root / path).exists() for path in needed)


def _materialization(
    instance: dg.DagsterInstance, project: Project, stage: str, video: str | None, entry: dict
) -> list[dg.AssetMaterialization]:
    """The event to report for a lock entry; none if Dagster itself wrote that entry."""
    key = dg.AssetKey(stage)
    filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[video] if video else None)
    records = instance.fetch_materializations(filters, limit=1).records
    existing = (
        records[0].asset_materialization.metadata if records and records[0].asset_materialization else {}
    )
    if LOCK_FINGERPRINT in existing and existing[LOCK_FINGERPRINT].value == fingerprint(entry):
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


def _sizes(project: Project) -> dict[str, tuple[int, float]]:
    """Size, and time of the last change, of each file in data/raw that may be a video."""
    sizes = {}
    for file in entries(project.paths):
        with suppress(FileNotFoundError):  # a broken link, or moved away just now
            if file.is_file():
                sizes[file.name] = file.stat().st_size, file.stat().st_mtime
    return sizes


def _is_copying(size: int, changed: float, before: int | None) -> bool:
    return before not in {None, size} or time.time() - changed < _SETTLED_S


def _run_key(project: Project, video: str) -> str:
    """Run key of a video as it was tracked: a video that was removed and added again is labelled again."""
    return f"{video}@{pointer(project.raw_path(video)).stat().st_mtime_ns}"


def _absent_in_words(project: Project) -> list[str]:
    problem = not_pulled(project.raw_path(video) for video in listed_videos(project.paths))
    return [problem] if problem else []
