"""The assets of one video, a partition each."""

import dagster as dg

from gotowce_dagster.assets.materialize import materialize
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.reporting import ProgressOf, picture_metadata
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.video.decode import probe, read_frames

GROUP = "videos"


@dg.asset(partitions_def=VIDEOS, group_name=GROUP, kinds={"video"})
def raw_videos(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A video as its owner recorded it, in data/raw, tracked by DVC and never modified."""
    project = Project.find()
    try:
        path = project.raw(context.partition_key)
        digest = DvcRepo(project.paths.root).tracked_digest(path)
    except InputError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    metadata: dict[str, dg.MetadataValue] = {"file": dg.MetadataValue.path(path)}
    try:
        info = probe(path)
        picture = next(iter(read_frames(path))).rgb()
    except InputError as error:
        metadata["notes"] = dg.MetadataValue.text(str(error))
    else:
        metadata |= {
            "seconds": dg.MetadataValue.float(info.duration_s),
            "size": dg.MetadataValue.text(
                f"{info.width}x{info.height} at {info.fps:.3g} frames/s, {info.codec}"
            ),
            "picture": picture_metadata(
                picture, project.paths.pictures("raw_videos", context.partition_key), "first frame"
            ),
        }
    return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata)


@dg.asset(
    deps=[raw_videos],
    partitions_def=VIDEOS,
    group_name=GROUP,
    kinds={"opencv"},
)
def extracted_frames(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Frames sampled from the video, without near-duplicates and recording stalls, with an index."""
    return materialize(context, progress)


@dg.asset(
    deps=[raw_videos, extracted_frames],
    partitions_def=VIDEOS,
    group_name=GROUP,
    kinds={"opencv"},
    pool="gpu",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def designator_detections(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Boxes of the designators that the game drew around its targets."""
    return materialize(context, progress)


@dg.asset(
    deps=[raw_videos, extracted_frames, designator_detections],
    partitions_def=VIDEOS,
    group_name=GROUP,
    kinds={"pytorch"},
    pool="gpu",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def masks(context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]) -> dg.MaterializeResult:
    """Masks of the targets inside designators and, in mode video, propagated between frames, with scores."""
    return materialize(context, progress)


@dg.asset(
    deps=[extracted_frames, designator_detections, masks],
    partitions_def=VIDEOS,
    group_name=GROUP,
    kinds={"pandas"},
)
def cleaned_labels(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Candidate labels with verdict, reasons and scores; rejected ones are kept too."""
    return materialize(context, progress)
