"""Sensors of changes outside Dagster: new videos, stages run by `dvc repro`, reviews, killed runs."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import dagster as dg

from gotowce_dagster.assets.jobs import label_videos, train_model
from gotowce_dagster.assets.materialize import LOCK_FINGERPRINT, lock_metadata
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.reported import Record, Reported
from gotowce_dagster.assets.review import reviewed_labels, reviewed_metadata, reviews_version
from gotowce_dagster.assets.runs import release_dead_runs
from gotowce_dagster.assets.versions import code_version
from gotowce_dagster.config.project import Project, listed_videos
from gotowce_dagster.core.errors import GotowceError, PartlyDoneError, one_sentence
from gotowce_dagster.core.sources import not_pulled, pointer, require_pulled, tracked_files
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_lockfile import fingerprint, output_digest
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import ROOT, STUDIES, folder_of, stage_name
from gotowce_dagster.intake.raw_folder import entries
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.review.connection import ServerDownError, connect, find
from gotowce_dagster.stages.base import Stage
from gotowce_dagster.stages.table import STAGES

# A file that changed within this time is still being copied.
_SETTLED_S = 10.0
# Pipelines that the sensor dvc_lock reports at once, and after how many seconds it leaves the rest to its
# next tick. Each entry costs a query and a preview, and Dagster stops a sensor after a minute.
_BATCH = 25
_BATCH_S = 20.0
# How many paths a message names.
_NAMED = 5


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
        DvcRepo(project.paths.root).repair(wait=False)
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
    try:
        to_label = [
            video
            for video in videos
            if (video in new or video in waiting) and video not in absent and not _is_labelled(project, video)
        ]
    except (GotowceError, OSError) as error:
        return dg.SkipReason(one_sentence(error, ""))
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
    """Report outputs of `dvc repro` as materialized, so that they need no run; in batches if there are many.

    Outputs that are recorded but not pulled are reported once they are pulled.
    """
    project = Project.find()
    videos = set(context.instance.get_dynamic_partitions("videos")) & set(listed_videos(project.paths))
    reported = Reported.resume(project.paths, context.cursor)
    folders, of_all = [folder_of(video) for video in sorted(videos)], [ROOT, STUDIES]
    # What sums up all videos comes after all of them, and what failed before keeps nothing else waiting.
    due = [*reported.due(folders), *reported.due(of_all), *reported.failed([*folders, *of_all])]
    report, events, start = (
        _Report(context.instance, project),
        list[dg.AssetMaterialization](),
        time.monotonic(),
    )
    try:
        for folder in due[:_BATCH]:
            if time.monotonic() - start > _BATCH_S:
                break
            record, found = report.of(folder, reported)
            reported.keep(folder, record)
            events += found
    except (GotowceError, OSError) as error:
        report.problems.append(one_sentence(error, ""))
    problems = report.problems
    records = reported.records | reported.batch
    absent = [path for folder in (*folders, *of_all) if folder in records for path in records[folder].absent]
    if absent:
        others = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        problems = [*problems, f"not pulled: {', '.join(absent[:_NAMED])}{others}: run `dvc pull`"]
    if not events:
        context.update_cursor(reported.cursor())
        return dg.SkipReason("; ".join(["no new outputs in dvc.lock", *problems]))
    for problem in problems:
        context.log.warning(problem)
    return dg.SensorResult(asset_events=events, cursor=reported.cursor())


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
    """The event to report for pulled reviews; none if Dagster already has it.

    A project without reviews gets one event too: Dagster would warn that training needs reviewed labels.
    """
    version = reviews_version(project.paths)
    event = instance.get_latest_materialization_event(reviewed_labels.key)
    existing = event.asset_materialization if event else None
    if not project.videos or (existing and (existing.tags or {}).get("dagster/data_version") == version):
        return []
    tags = {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}
    has_reviews = any(project.paths.reviewed_videos.rglob("*.json"))
    how = (
        "by the sensor or `gotowce review pull`"
        if has_reviews
        else "no reviews yet: labels count as they are"
    )
    metadata = reviewed_metadata(project) | {"how": dg.MetadataValue.text(how)}
    return [dg.AssetMaterialization(reviewed_labels.key, metadata=metadata, tags=tags)]


class _Report:
    """Turns the entries of dvc.lock files into events."""

    def __init__(self, instance: dg.DagsterInstance, project: Project) -> None:
        self.problems: list[str] = []
        self._instance = instance
        self._project = project
        self._repo = DvcRepo(project.paths.root)
        # It reads every source file of a stage.
        self._code_version = cache(partial(code_version, project.paths))

    def of(self, folder: str, reported: Reported) -> tuple[Record, list[dg.AssetMaterialization]]:
        """What is to be reported of a pipeline's dvc.lock, and its events in the order of the stages.

        Raises:
            LockBusyError: Another process is writing it.
            InputError: It has git's merge conflict markers.
        """
        video = None if folder in {ROOT, STUDIES} else Path(folder).name
        seen, state = reported.records.get(folder), reported.state(folder)
        assert state is not None, "it is due"
        record, events = Record(state=state), list[dg.AssetMaterialization]()
        entries = self._repo.entries_in(folder, wait=False)
        for stage in STAGES.values():
            entry = entries.get(stage.name)
            if entry is None or stage.per_video != (video is not None):
                continue
            name, mark = stage_name(stage.name, video), fingerprint(entry)
            try:
                if not seen or seen.stages.get(stage.name) != mark:
                    if absent := _absent(self._project, entry):
                        record.absent += absent
                        continue
                    events += self._materialization(stage, video, entry)
                record.stages[stage.name] = mark
            except (GotowceError, OSError, KeyError, TypeError, ValueError) as error:
                self.problems.append(f"{name}: {one_sentence(error, name)}")
                record.is_failed = True
        return record, events

    def _materialization(self, stage: Stage, video: str | None, entry: dict) -> list[dg.AssetMaterialization]:
        """The event to report for a lock entry; none if Dagster itself wrote that entry."""
        key = dg.AssetKey(stage.name)
        filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[video] if video else None)
        records = self._instance.fetch_materializations(filters, limit=1).records
        existing = (
            records[0].asset_materialization.metadata if records and records[0].asset_materialization else {}
        )
        if LOCK_FINGERPRINT in existing and existing[LOCK_FINGERPRINT].value == fingerprint(entry):
            return []
        tags = {
            "dagster/data_version": output_digest(entry),
            "dagster/data_version_is_user_provided": "true",
            "dagster/code_version": self._code_version(stage.name),
        }
        how = {"how": dg.MetadataValue.text("by dvc repro")}
        metadata = lock_metadata(self._project, stage, video, entry) | how
        return [dg.AssetMaterialization(key, partition=video, metadata=metadata, tags=tags)]


def _absent(project: Project, entry: dict) -> list[str]:
    """What is not here of a stage's output and the videos that its preview needs."""
    paths = [dep["path"] for dep in entry.get("deps", ()) if dep["path"].startswith("data/raw/")]
    return [path for path in (*paths, entry["outs"][0]["path"]) if not (project.paths.root / path).exists()]


def _sizes(project: Project) -> dict[str, tuple[int, float]]:
    """Size, and time of the last change, of each file in data/raw that may be a new video."""
    sizes = {}
    for file in (entry for entry in entries(project.paths) if not pointer(entry).exists()):
        with suppress(FileNotFoundError):  # a broken link, or moved away just now
            if file.is_file():
                sizes[file.name] = file.stat().st_size, file.stat().st_mtime
    return sizes


def _is_labelled(project: Project, video: str) -> bool:
    return "cleaned_labels" in DvcRepo(project.paths.root).entries_in(folder_of(video), wait=False)


def _is_copying(size: int, changed: float, before: int | None) -> bool:
    return before not in {None, size} or time.time() - changed < _SETTLED_S


def _run_key(project: Project, video: str) -> str:
    """Run key of a video as it was tracked: a video that was removed and added again is labelled again."""
    return f"{video}@{pointer(project.raw_path(video)).stat().st_mtime_ns}"


def _absent_in_words(project: Project) -> list[str]:
    problem = not_pulled(project.raw_path(video) for video in listed_videos(project.paths))
    return [problem] if problem else []
