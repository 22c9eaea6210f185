"""`gotowce review push-video`: push the tracks of a whole video."""

from dataclasses import asdict

from gotowce_dagster.cli.review.options import Json
from gotowce_dagster.cli.review.result import show_result


def push_video(video: str, json: Json = False) -> None:
    """Push a whole video with its tracks, as boxes with few key frames."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.review import video_room
    from gotowce_dagster.review.connection import connect, find

    project = Project.find()
    pushed = video_room.push_video(connect(find(project.paths.root)), project, video)
    show_result("Sent to Label Studio", asdict(pushed), [], json)
