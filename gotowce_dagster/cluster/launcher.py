"""The run launcher of the driver: runs of one video go to the Ray cluster, all others stay on the driver.

Named in dagster.yaml (``deploy/dagster.yaml``); nothing else imports it, because it needs the extra
``cluster``.
"""

import shlex
from typing import Any

from dagster import DagsterInstance, DagsterRun
from dagster._cli.api import ExecuteRunArgs
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus

from gotowce_dagster.cluster.records import report_slice, video_of
from gotowce_dagster.cluster.slices import take
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import extras
from gotowce_dagster.core.sources import below_data, state
from gotowce_dagster.intake import code_digests
from gotowce_dagster.intake.dvc_remote import SharedRepo

extras.require("cluster", "the run launcher of a cluster")

from dagster_ray import RayRunLauncher  # noqa: E402
from dagster_ray.core.run_launcher import get_job_submission_id_from_run_id  # noqa: E402


class SliceRunLauncher(RayRunLauncher):
    """Submits runs of one video to Ray, each with the slice of the project that it needs.

    Runs of the whole project (dataset, training, evaluation) read the data of all videos. They start on the
    driver, where `dvc pull` brings it.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._here = DefaultRunLauncher()

    @property
    def supports_resume_run(self) -> bool:
        """A run is launched anew, with a new slice; finished stages are not repeated."""
        return False

    def register_instance(self, instance: DagsterInstance) -> None:
        super().register_instance(instance)
        self._here.register_instance(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run.

        Raises:
            InputError: The project is invalid, or has no such video.
            RemoteError: The video cannot be pushed to the DVC remote.
        """
        run = context.dagster_run
        video = video_of(run)
        if video is None:
            self._here.launch_run(context)
            return
        project = Project.find()
        code_digests.refresh(project.paths)
        raw = project.raw_path(video)
        if state(raw) == "here":
            SharedRepo(project.paths.root).push(below_data(raw))
        report_slice(self._instance, run, take(project, video))
        assert run.job_code_origin is not None, "a run that was launched from a code location has one"
        arguments = ExecuteRunArgs(
            job_origin=run.job_code_origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        ).get_command_args()
        command = ["python", "-m", "gotowce_dagster.cluster.worker", arguments[-1]]
        self._launch_ray_job(get_job_submission_id_from_run_id(run.run_id), shlex.join(command), run)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        is_here = run is not None and video_of(run) is None
        return self._here.terminate(run_id) if is_here else super().terminate(run_id)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if video_of(run) is None:  # assets/runs.py finds those that were killed
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return super().check_run_worker_health(run)
