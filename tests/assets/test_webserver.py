"""The real `dagster dev`, asked by GraphQL and looked at in a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest
from playwright.sync_api import Page

from gotowce_dagster.config.project import Project
from gotowce_dagster.definitions import defs
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.stages.table import STAGES
from tests.conftest import ROOT
from tests.intake.test_videos import film

pytestmark = pytest.mark.integration

_START_S = 180
_QUERY = """{
  repositoriesOrError { ... on RepositoryConnection { nodes {
    jobs { name }
    sensors { name sensorState { status } }
    assetNodes { assetKey { path } isPartitioned pools hasAssetChecks
      assetMaterializations(limit: 1) { partition } }
  } } }
}"""


@pytest.fixture
def home(clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DAGSTER_HOME with the project's settings, and one video's first asset materialized."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(ROOT / ".dagster" / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    intake.add(clone, film(tmp_path / "duel.mp4"))
    intake.sync(clone)
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("videos", ["duel"])
        job = defs().resolve_implicit_global_asset_job_def()
        keys = [dg.AssetKey("raw_videos")]
        assert job.execute_in_process(instance=instance, partition_key="duel", asset_selection=keys).success
    return home


@pytest.fixture
def url(clone: Project, home: Path) -> Iterator[str]:
    """The address of a running `dagster dev`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A shell in the background hands down SIGINT as ignored, and Dagster could not be stopped politely.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server = subprocess.Popen(
        ["dagster", "dev", "--host", "127.0.0.1", "--port", str(port)],
        cwd=clone.paths.root,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server)
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(60)
        finally:
            os.killpg(server.pid, signal.SIGKILL) if server.poll() is None else None


def _wait_for(address: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert server.poll() is None, "dagster dev ended by itself"
        try:
            if httpx.get(f"{address}/server_info", timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"dagster dev did not answer within {_START_S} s")


def test_every_file_exists_and_the_picture_is_shown(url: str, page: Page) -> None:
    answer = httpx.post(f"{url}/graphql", json={"query": _QUERY}, timeout=60).json()
    (repository,) = answer["data"]["repositoriesOrError"]["nodes"]
    assets = {node["assetKey"]["path"][-1]: node for node in repository["assetNodes"]}
    assert set(assets) == {*STAGES, "raw_videos", "review_tasks", "reviewed_labels"}
    assert {"label_videos", "ask_reviewers", "train_model"} <= {job["name"] for job in repository["jobs"]}
    assert {s["name"]: s["sensorState"]["status"] for s in repository["sensors"]} == {
        "cluster_results": "RUNNING",
        "new_videos": "RUNNING",
        "dvc_lock": "RUNNING",
        "reviews": "RUNNING",
        "dead_runs": "RUNNING",
    }
    assert {name for name, node in assets.items() if node["pools"] == ["gpu"]} == {
        "designator_detections",
        "masks",
        "finetuned_model",
        "evaluation",
        "segment_everything",
        "detector_comparison",
        "crop_sensitivity",
        "vocabulary",
        "prompt_inputs",
    }
    assert [node["partition"] for node in assets["raw_videos"]["assetMaterializations"]] == ["duel"]

    page.goto(f"{url}/assets/raw_videos?view=partitions&partition=duel")
    # Dagster shows what has a thousand characters or more, as pictures have, behind "Show Markdown".
    page.get_by_text("[Show Markdown]").first.click(timeout=90_000)
    picture = page.locator("img[alt='first frame']").first
    picture.wait_for(timeout=90_000)
    assert picture.evaluate("image => image.naturalWidth") == 64
