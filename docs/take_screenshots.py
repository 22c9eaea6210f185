"""Screenshots: the asset graph and one asset's page, from a running `dagster dev`; pages of Label Studio.

    python docs/take_screenshots.py [--url http://127.0.0.1:3000] [--out docs/pictures]
    python docs/take_screenshots.py --video naev_hostile_sample --frame 200
    python docs/take_screenshots.py --proposals

Needs Chromium on the PATH. Run `gotowce demo` and `dagster dev` first; for a video `gotowce review serve`,
and for a frame with proposals `gotowce review push --ranked-by proposals` too.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from gotowce_dagster.config.project import Project
from gotowce_dagster.review.connection import Room, connect, find, read_secrets
from gotowce_dagster.review.room import find_project
from gotowce_dagster.review.video_room import push_video


def asset_graph(page: Page, url: str) -> None:
    """The whole pipeline, every asset in view."""
    for group in ("videos", "review", "model", "studies"):
        page.goto(f"{url}/asset-groups")
        page.locator(f"div[data-tooltip='{group}']").first.click(timeout=60_000)
        page.wait_for_timeout(2000)
    page.goto(f"{url}/asset-groups")  # with all groups open, drawn to fit
    page.get_by_text("Hide navigation").click()
    page.wait_for_timeout(8000)


def asset_page(page: Page, url: str, asset: str, partition: str) -> None:
    """One asset's latest materialization with its picture unfolded."""
    page.goto(f"{url}/assets/{asset}?view=partitions&partition={partition}")
    page.get_by_text("Show Markdown").first.click(timeout=60_000)
    page.locator("img[alt=picture]").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1000)


def log_in(page: Page, project: Project) -> Room:
    """Log in to the project's own Label Studio."""
    secrets = read_secrets(project.paths.root)
    assert secrets is not None, "start `gotowce review serve` first"
    room = connect(find(project.paths.root))
    page.goto(f"{room.url}/user/login")
    page.fill("input[name=email]", secrets.email)
    page.fill("input[name=password]", secrets.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    return room


def proposals(page: Page) -> None:
    """The first frame that Label Studio shows, with its labels and what a model proposes beside them."""
    project = Project.find()
    room = log_in(page, project)
    reviews = find_project(room.client, project.params.review.tasks.project)
    assert reviews is not None, "run `gotowce review push --ranked-by proposals` first"
    page.goto(f"{room.url}/projects/{reviews.id}/data?labeling=1")
    shown = "window.Htx?.annotationStore?.selected"
    page.wait_for_function(f"() => {shown}?.regionStore?.regions?.length > 0", timeout=120_000)
    page.wait_for_selector(".konvajs-content", timeout=60_000)
    page.wait_for_timeout(3000)


def video_objects(page: Page, video: str, frame_index: int) -> None:
    """A video's objects in Label Studio, at one frame, as `gotowce review push-video` sends them."""
    project = Project.find()
    room = log_in(page, project)
    page.goto(f"{push_video(room, project, video).url}&labeling=1")
    shown = "window.Htx?.annotationStore?.selected?.names?.get('video')"
    page.wait_for_function(f"() => {shown}?.length > 1", timeout=120_000)
    page.wait_for_timeout(2000)
    page.evaluate(f"frame => {shown}.ref.current.goToFrame(frame)", frame_index + 1)
    page.wait_for_timeout(3000)


def main() -> None:
    """Take both pictures of Dagster, or the one of a video."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--asset", default="cleaned_labels")
    parser.add_argument("--partition", default="naev_hostile_sample")
    parser.add_argument("--video", help="its objects in Label Studio instead")
    parser.add_argument("--proposals", action="store_true", help="a frame with proposals instead")
    parser.add_argument("--frame", type=int, default=0, help="frame_index of the video")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        if options.video:
            page.set_viewport_size({"width": 1280, "height": 980})
            video_objects(page, options.video, options.frame)
            page.screenshot(path=options.out / "label_studio_video.png")
            return
        if options.proposals:
            page.set_viewport_size({"width": 1440, "height": 980})
            proposals(page)
            page.screenshot(path=options.out / "label_studio_proposals.png")
            return
        asset_graph(page, options.url)
        page.screenshot(path=options.out / "dagster_graph.png")
        asset_page(page, options.url, options.asset, options.partition)
        page.screenshot(path=options.out / "dagster_asset.png")
        browser.close()


if __name__ == "__main__":
    main()
