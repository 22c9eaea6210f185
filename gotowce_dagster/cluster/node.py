"""What a node of a cluster does for one stage of one video.

It takes the lock entries that any node has reported, and runs the stage only if none of them belongs to the
current inputs, whether or not the data is here. Only then the inputs are pulled. The output is in the DVC
remote before its entry is reported, so whoever reads an entry can pull its data.
"""

from collections.abc import Callable

from dagster import DagsterInstance

from gotowce_dagster.cluster.records import recorded
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.sources import below_data, state
from gotowce_dagster.intake import code_digests
from gotowce_dagster.intake.dvc_remote import SharedRepo
from gotowce_dagster.intake.pipelines import folder_of, stage_address

CURRENT = "current: made on another machine or before"
COMPUTED = "computed"


def bring_up_to_date(
    instance: DagsterInstance, project: Project, stage: str, video: str, run: Callable[[], None]
) -> str:
    """Make sure that a stage's output is current, here, and in the DVC remote; returns how it came about.

    Args:
        run: Computes the stage in the project's folder.

    Raises:
        InputError: The driver has other code of the stage than this node, or no such video.
        RemoteError: Data cannot be pulled or pushed.
    """
    project.video(video)
    code_digests.require(project.paths, stage)
    repo, name = SharedRepo(project.paths.root), stage_address(stage, video)
    repo.replace_entries(folder_of(video), (), recorded(instance, video))
    if repo.has_current_entry(name):
        if absent := repo.missing(name):
            repo.pull(absent)
        else:  # computed here before, and perhaps not pushed
            repo.push(name)
        return CURRENT
    pull_inputs(project, stage, video)
    run()
    repo.commit(name)
    repo.push(name)
    return COMPUTED


def pull_inputs(project: Project, stage: str, video: str) -> None:
    """Pull the inputs of a stage that are not here.

    Raises:
        RemoteError: One cannot be pulled.
    """
    repo = SharedRepo(project.paths.root)
    repo.pull(repo.missing(stage_address(stage, video), inputs=True))


def pull_outputs(instance: DagsterInstance, project: Project, video: str, *stages: str) -> None:
    """Pull the outputs of a video's stages that are recorded and not here.

    Raises:
        RemoteError: One cannot be pulled.
    """
    repo, folder = SharedRepo(project.paths.root), folder_of(video)
    shared = recorded(instance, video)
    entries = repo.entries_in(folder) | shared
    paths = [out["path"] for stage in stages if stage in entries for out in entries[stage]["outs"]]
    absent = [path for path in paths if not (project.paths.root / path).exists()]
    if absent:
        repo.replace_entries(folder, (), shared)
        repo.pull(absent)


def pull_video(project: Project, video: str) -> None:
    """Pull a video's file, if it is not here.

    Raises:
        RemoteError: It cannot be pulled.
    """
    path = project.raw_path(video)
    if state(path) != "here":
        SharedRepo(project.paths.root).pull([below_data(path)])
