from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from gotowce_dagster.core.tables import read_truth
from gotowce_dagster.designators.marking import marking_page


@pytest.mark.integration
def test_boxes_drawn_in_a_browser_are_read_as_ground_truth(page: Page, tmp_path: Path) -> None:
    images = [(index, np.full((240, 400, 3), index, np.uint8)) for index in (62, 187)]
    html = tmp_path / "mark.html"
    html.write_text(marking_page('duel "1".mp4', images), encoding="utf-8")
    page.goto(html.as_uri())
    page.wait_for_selector("figure[data-index='187'][data-ready]")

    def drag(index: int, start: tuple[int, int], end: tuple[int, int]) -> None:
        canvas = page.locator(f"figure[data-index='{index}'] canvas")
        canvas.scroll_into_view_if_needed()
        place = canvas.bounding_box()
        assert place
        page.mouse.move(place["x"] + start[0] + 0.5, place["y"] + start[1] + 0.5)
        page.mouse.down()
        page.mouse.move(place["x"] + end[0] + 0.5, place["y"] + end[1] + 0.5, steps=3)
        page.mouse.up()

    drag(62, (100, 80), (142, 122))
    drag(187, (50, 90), (20, 60))  # from the lower right corner to the upper left one
    page.select_option("#label", "object")
    drag(187, (30, 70), (40, 75))
    drag(187, (300, 100), (310, 110))
    page.click("#undo")
    assert page.text_content("#count") == "3 boxes"
    with page.expect_download() as download:
        page.click("#save")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    rows = read_truth(saved)
    assert set(rows["clip"]) == {'duel "1".mp4'}
    assert rows.drop(columns="clip").to_numpy().tolist() == [
        [62, 100, 80, 143, 123, "designator"],
        [187, 20, 60, 51, 91, "designator"],
        [187, 30, 70, 41, 76, "object"],
    ]
