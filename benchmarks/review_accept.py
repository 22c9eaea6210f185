"""Latency for a reviewer: from the key that accepts a frame to the next frame, in a real browser.

    gotowce review serve &
    python -m benchmarks.review_accept [--frames 20] [--masks 3]

Frames of 1080p with that many boxes and masks each, in a separate project that is deleted at the end.
Needs Chromium on the PATH.
"""

import os
import shutil
import time
from statistics import median

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.review_room import SIZE, made_up, options
from gotowce_dagster.config.project import Project
from gotowce_dagster.review.connection import connect, find, read_secrets
from gotowce_dagster.review.push import push

_TITLE = "benchmark of accepting"
_SHOWN = """([before, regions]) => {
  const task = window.Htx?.task, chosen = window.Htx?.annotationStore?.selected
  return task?.id && task.id !== before && chosen?.regionStore?.regions?.length === regions &&
    chosen.objects.find(o => o.type === 'image')?.imageIsLoaded && task.id
}"""


def log_in(page: Page, project: Project, url: str) -> None:
    secrets = read_secrets(project.paths.root)
    assert secrets is not None, "start `gotowce review serve` first"
    page.goto(f"{url}/user/login")
    page.fill("input[name=email]", secrets.email)
    page.fill("input[name=password]", secrets.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "login" not in address)


def waits(page: Page, url: str, frames: int, regions: int) -> list[float]:
    """Seconds of each accept except the last."""
    page.goto(f"{url}/data?labeling=1")
    task = page.wait_for_function(_SHOWN, arg=[None, regions], timeout=120_000).json_value()
    page.wait_for_timeout(3000)
    seconds = []
    for _ in range(frames - 1):
        start = time.perf_counter()
        page.keyboard.press("a")
        page.keyboard.press("Control+Enter")
        shown = page.wait_for_function(_SHOWN, arg=[task, regions], timeout=120_000, polling="raf")
        seconds.append(time.perf_counter() - start)
        task = shown.json_value()
        page.wait_for_timeout(1000)  # as if looking at it; the page is then idle
    return seconds


def main() -> None:
    arguments = options(__doc__, frames=20, masks=3)
    project = Project.find()
    room = connect(find(project.paths.root))
    params = project.params.review.tasks.model_copy(update={"project": _TITLE})
    folder = project.paths.data / "frames"
    frames = made_up(arguments.frames, arguments.masks)
    (folder / "benchmark").mkdir(parents=True)
    pushed = None
    try:
        noise = np.random.default_rng(1).integers(0, 60, (SIZE.height, SIZE.width, 3), dtype=np.uint8)
        for frame in frames:
            cv2.imwrite(str(project.paths.data / frame.file), noise)
        pushed = push(room, frames, folder, params, why={})
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            log_in(page, project, room.url)
            took = waits(page, pushed.url, arguments.frames, 2 * arguments.masks)
            browser.close()
        print(
            f"accepted {len(took)} frames of {arguments.masks} masks: {median(took):.2f} s to the next one "
            f"(median; {min(took):.2f} to {max(took):.2f} s), load {os.getloadavg()[0]:.1f}"
        )
    finally:
        shutil.rmtree(folder / "benchmark")
        if pushed:
            room.client.projects.delete(pushed.project)


if __name__ == "__main__":
    main()
