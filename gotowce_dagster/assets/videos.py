"""The assets of one video, a partition each."""

import dagster as dg

from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.reporting import picture_metadata
from gotowce_dagster.assets.stage_asset import stage_asset
from gotowce_dagster.cluster.node import pull_video
from gotowce_dagster.cluster.slices import is_slice, pictures
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake.dvc_remote import RemoteError
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.video.decode import probe, read_frames

GROUP = "videos"


@dg.asset(partitions_def=VIDEOS, group_name=GROUP, kinds={"video"})
def raw_videos(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A video as its owner recorded it, in data/raw, tracked by DVC and never modified."""
    project = Project.find()
    try:
        if is_slice(project.paths):
            pull_video(project, context.partition_key)
        path = project.raw(context.partition_key)
        digest = DvcRepo(project.paths.root).tracked_digest(path)
    except (InputError, RemoteError) as error:
        raise dg.Failure(str(error)) from error
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
                picture, pictures(project.paths, "raw_videos", context.partition_key), "first frame"
            ),
        }
    return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata)


extracted_frames = stage_asset("extracted_frames", GROUP)
designator_detections = stage_asset("designator_detections", GROUP)
masks = stage_asset("masks", GROUP)
cleaned_labels = stage_asset("cleaned_labels", GROUP)
