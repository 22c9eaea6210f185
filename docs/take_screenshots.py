"""Screenshots for the README: the asset graph and one asset's page, from a running `dagster dev`.

    python docs/take_screenshots.py [--url http://127.0.0.1:3000] [--out docs/pictures]

Needs Chromium on the PATH. Run `gotowce demo` and `dagster dev` first.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright


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


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--asset", default="cleaned_labels")
    parser.add_argument("--partition", default="naev_hostile_sample")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        asset_graph(page, options.url)
        page.screenshot(path=options.out / "dagster_graph.png")
        asset_page(page, options.url, options.asset, options.partition)
        page.screenshot(path=options.out / "dagster_asset.png")
        browser.close()


if __name__ == "__main__":
    main()
