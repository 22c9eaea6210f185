"""What tests share: real weights where they can be had, and a project of their own to run in."""

import contextlib
import fcntl
import gc
import os
import re
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
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

ROOT = Path(__file__).parent.parent
_FETCH = ROOT.parent / "shared" / "weights" / "get"
_CACHE = ROOT / ".cache" / "weights"


def pytest_configure(config: pytest.Config) -> None:
    """Point to real weights before any test asks for them; fetch them once where that is possible."""
    # Its handlers of messages keep the standard error of the moment; a test's own is closed at its end.
    import dvc.logger  # noqa: F401

    if "not slow" in config.option.markexpr:
        gc.set_threshold(50_000, 50, 100)  # fast tests hold nothing large that waits for it
    if "not weights" in config.option.markexpr:
        return
    if "GOTOWCE_WEIGHTS_DIR" not in os.environ and _FETCH.exists():
        subprocess.run([sys.executable, _FETCH, "--into", _CACHE], check=True, stdout=sys.stderr)
        os.environ["GOTOWCE_WEIGHTS_DIR"] = str(_CACHE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneServer | None:
    """Let one worker take all tests of Label Studio."""
    return OneServer(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage in what files of tests import: that is a quarter of the time of importing it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


_ALL_MARKED = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.(\w+)", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import files of which ``-m "not slow and not ..."`` leaves all tests out."""
    left_out = [
        word.removeprefix("not ") for word in config.option.markexpr.split(" and ") if word[:4] == "not "
    ]
    if not left_out or collection_path.suffix != ".py":
        return None
    mark = _ALL_MARKED.search(collection_path.read_text(encoding="utf-8"))
    return True if mark and mark[1] in left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest."""
    items.sort(key=lambda item: place(item.path, ROOT / "tests"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of this project, as it stands, with no videos, and without what no command reads.

    The first worker that asks for it makes it for all.
    """
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "template"
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            made = tmp_path_factory.mktemp("template")
            _make_template(made)
            made.rename(root)
    return root


def _make_template(root: Path) -> None:
    left_out = ("data/raw/", "data/truth/", "benchmarks/", "docs/", "tests/")
    copy_working_tree(ROOT, root, lambda name: not name.startswith(left_out) or name.endswith(".keep"))
    (root / "data" / "videos.yaml").write_text("videos: {}\n", encoding="utf-8")
    listings(Paths(root))  # kept for all its copies
    commit_all(root)


_NEVER_WRITTEN = (".mp4", ".png", ".jpg")
_NEVER_WRITTEN_IN = tuple(f"{os.sep}{name}{os.sep}" for name in (".git/objects", "gotowce_dagster"))
"""Source code is written by `write_source` only."""


def write_source(path: Path, text: str) -> None:
    """Change a file of the source code of one clone."""
    path.unlink()  # others have links to it
    path.write_text(text, encoding="utf-8")


def _copied(source: str, target: str) -> None:
    """Copy a file, or hard link it if no test writes to it."""
    if source.endswith(_NEVER_WRITTEN) or any(folder in source for folder in _NEVER_WRITTEN_IN):
        with contextlib.suppress(OSError):  # the clone may lie on a disk of its own
            os.link(source, target)
            return
    shutil.copy2(source, target)


def make_clone(
    template: Path, root: Path, monkeypatch: pytest.MonkeyPatch, starts_programs: bool = True
) -> Project:
    """A copy of the clone; commands run inside it.

    Args:
        starts_programs: whether `gotowce` and `dvc` are to be found: what they are forked from starts for
            seconds.
    """
    shutil.copytree(template, root, copy_function=_copied)
    _use(root, monkeypatch)
    if starts_programs:
        monkeypatch.setenv("PATH", search_path())
    return Project(Paths(root))


def _use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(root))
    # Commands that run jobs in this process set it too, for good.
    monkeypatch.setenv("DAGSTER_HOME", str(root / ".dagster"))
    monkeypatch.chdir(root)


@pytest.fixture(scope="session")
def _clone_to_read(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("read") / "clone"
    shutil.copytree(template, root, copy_function=_copied)
    yield root
    command = ["git", "status", "--porcelain"]
    changed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    assert changed == "", "a test whose command changes files needs a clone of its own"


@pytest.fixture
def clone_to_read(_clone_to_read: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One clone for all tests of commands that change nothing."""
    _use(_clone_to_read, monkeypatch)
    return Project(Paths(_clone_to_read))


@pytest.fixture
def clone(
    request: pytest.FixtureRequest, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A clone of a test's own."""
    starts_programs = request.node.get_closest_marker("integration") is not None
    return make_clone(template, tmp_path / "clone", monkeypatch, starts_programs)


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
