"""What tests share: real weights where they can be had, and a project of their own to run in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page, sync_playwright

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project

# A machine that does something else beside would fail tests by the clock.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent
_FETCH = ROOT.parent / "shared" / "weights" / "get"
_CACHE = ROOT / ".cache" / "weights"


def pytest_configure(config: pytest.Config) -> None:
    """Point to real weights before any test asks for them; fetch them once where that is possible."""
    # Its handlers of messages keep the standard error of the moment; a test's own is closed at its end.
    import dvc.logger  # noqa: F401

    if "GOTOWCE_WEIGHTS_DIR" not in os.environ and _FETCH.exists():
        subprocess.run([sys.executable, _FETCH, "--into", _CACHE], check=True, stdout=sys.stderr)
        os.environ["GOTOWCE_WEIGHTS_DIR"] = str(_CACHE)


def _tracked_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def make_clone(root: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A fresh clone of this project, as it stands, with no videos; commands run inside it."""
    for name in _tracked_files():
        if name.startswith(("data/raw/", "data/truth/")) and not name.endswith(".keep"):
            continue
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
    (root / "data" / "videos.yaml").write_text("videos: {}\n", encoding="utf-8")
    for command in (
        ["git", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "start"],
    ):
        subprocess.run(command, cwd=root, check=True)
    monkeypatch.setenv("GOTOWCE_ROOT", str(root))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(root)
    return Project(Paths(root))


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A clone of a test's own."""
    return make_clone(tmp_path / "clone", monkeypatch)


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
