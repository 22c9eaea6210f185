"""The entry point of a run on a node: write its slice to an empty folder, and run Dagster there.

``python -m gotowce_dagster.cluster.worker ARGUMENTS``, as the launcher submits it to Ray, with the arguments
of `dagster api execute_run`.
"""

import os
import runpy
import sys
import tempfile
from pathlib import Path

from dagster import DagsterInstance
from dagster._cli.api import ExecuteRunArgs
from dagster._serdes import deserialize_value

from gotowce_dagster.cluster import slices
from gotowce_dagster.cluster.records import slice_of
from gotowce_dagster.core.files import scratch_dir


def main(arguments: str) -> None:
    """Run one run in its slice, which is removed afterwards; ends the process.

    Args:
        arguments: JSON, ExecuteRunArgs of Dagster.

    Raises:
        InputError: The run has no slice.
    """
    run = deserialize_value(arguments, ExecuteRunArgs)
    with scratch_dir(scratch() / run.run_id) as root:
        # Before Dagster's instance is opened: deploy/dagster.yaml refers to DAGSTER_HOME.
        os.environ |= {
            "GOTOWCE_ROOT": str(root),
            "DAGSTER_HOME": str(root / ".dagster"),
            "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "site"),
        }
        (root / ".dagster").mkdir()
        assert run.instance_ref is not None, "the launcher passes it"
        with DagsterInstance.from_ref(run.instance_ref) as instance:
            known = instance.get_run_by_id(run.run_id)
            if known is None or known.is_finished:
                print(f"run {run.run_id}: ended before it began; another one was launched for it")  # noqa: T201
                return
            files = slice_of(instance, run.run_id)
        slices.write(files, root)
        os.chdir(root)
        sys.argv = ["dagster", "api", "execute_run", arguments]
        runpy.run_module("dagster", run_name="__main__", alter_sys=True)


def scratch() -> Path:
    """The folder for slices and their data: $GOTOWCE_SCRATCH, else one in the system's temporary folder."""
    given = os.environ.get("GOTOWCE_SCRATCH")
    return Path(given) if given else Path(tempfile.gettempdir()) / "gotowce"


if __name__ == "__main__":
    main(sys.argv[1])
