"""What tests share: real weights where they can be had, and a project of their own to run in."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page, sync_playwright

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.intake.code_digests import listings
from tests.support.order import OneServer, place
from tests.support.warm import python, search_path
from tests.support.working_tree import commit_all, copy_working_tree

# No deadlines: a machine that does something else beside would fail tests by the clock.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=15)
settings.load_profile("unhurried")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core of its own. Set before torch is imported; programs that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
_FETCH = ROOT.parent / "shared" / "weights" / "get"
_CACHE = ROOT / ".cache" / "weights"


def pytest_configure(config: pytest.Config) -> None:
    """Point to real weights before any test asks for them; fetch them once where that is possible."""
    # Its handlers of messages keep the standard error of the moment; a test's own is closed at its end.
    import dvc.logger  # noqa: F401

    if "not weights" in config.option.markexpr:
        return
    if "GOTOWCE_WEIGHTS_DIR" not in os.environ and _FETCH.exists():
        subprocess.run([sys.executable, _FETCH, "--into", _CACHE], check=True, stdout=sys.stderr)
        os.environ["GOTOWCE_WEIGHTS_DIR"] = str(_CACHE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneServer | None:
    """Let one worker take all tests of Label Studio."""
    return OneServer(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest."""
    items.sort(key=lambda item: place(item.path, ROOT / "tests"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of this project, as it stands, with no videos, and without what no command reads."""
    root = tmp_path_factory.mktemp("template")
    left_out = ("data/raw/", "data/truth/", "benchmarks/", "docs/", "tests/")
    copy_working_tree(ROOT, root, lambda name: not name.startswith(left_out) or name.endswith(".keep"))
    (root / "data" / "videos.yaml").write_text("videos: {}\n", encoding="utf-8")
    listings(Paths(root))  # kept for all its copies
    commit_all(root)
    return root


_NEVER_WRITTEN = {".mp4", ".png", ".jpg"}


def _copied(source: str, target: str) -> None:
    """Copy a file, or hard link it if no test writes to it."""
    is_object = f"{os.sep}.git{os.sep}objects{os.sep}" in source
    if is_object or Path(source).suffix in _NEVER_WRITTEN:
        with contextlib.suppress(OSError):  # the clone may lie on a disk of its own
            os.link(source, target)
            return
    shutil.copy2(source, target)


def make_clone(template: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the clone; commands run inside it."""
    shutil.copytree(template, root, copy_function=_copied)
    monkeypatch.setenv("GOTOWCE_ROOT", str(root))
    # Commands that run jobs in this process set it too, for good.
    monkeypatch.setenv("DAGSTER_HOME", str(root / ".dagster"))
    monkeypatch.setenv("PATH", search_path())
    monkeypatch.chdir(root)
    return Project(Paths(root))


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A clone of a test's own."""
    return make_clone(template, tmp_path / "clone", monkeypatch)


@pytest.fixture(scope="module")
def warm_workers() -> Iterator[None]:
    """Contenders of a comparison are measured in processes that are forked from a warm one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", python())
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser, without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH; install the package chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that no other test has been at."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield context.new_page()
    context.close()
