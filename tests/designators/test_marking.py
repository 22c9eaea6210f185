from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from gotowce_dagster.core.truth import is_complete_truth, read_complete_truth, read_truth
from gotowce_dagster.designators.marking import marking_page


def drag(page: Page, index: int, start: tuple[int, int], end: tuple[int, int]) -> None:
    canvas = page.locator(f"figure[data-index='{index}'] canvas")
    canvas.scroll_into_view_if_needed()
    place = canvas.bounding_box()
    assert place
    page.mouse.move(place["x"] + start[0] + 0.5, place["y"] + start[1] + 0.5)
    page.mouse.down()
    page.mouse.move(place["x"] + end[0] + 0.5, place["y"] + end[1] + 0.5, steps=3)
    page.mouse.up()


@pytest.mark.integration
def test_boxes_drawn_in_a_browser_are_read_as_ground_truth(page: Page, tmp_path: Path) -> None:
    images = [(index, np.full((240, 400, 3), index, np.uint8)) for index in (62, 187)]
    html = tmp_path / "mark.html"
    html.write_text(marking_page('duel "1".mp4', images), encoding="utf-8")
    page.goto(html.as_uri())
    page.wait_for_selector("figure[data-index='187'][data-ready]")

    drag(page, 62, (100, 80), (142, 122))
    drag(page, 187, (50, 90), (20, 60))  # from the lower right corner to the upper left one
    page.select_option("#label", "target")
    drag(page, 187, (30, 70), (40, 75))
    drag(page, 187, (300, 100), (310, 110))
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
        [187, 30, 70, 41, 76, "target"],
    ]


@pytest.mark.integration
def test_the_lens_never_covers_the_pointer(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 800, "height": 600})
    html = tmp_path / "mark.html"
    html.write_text(marking_page("duel.mp4", [(62, np.full((560, 780, 3), 62, np.uint8))]), encoding="utf-8")
    page.goto(html.as_uri())
    page.wait_for_selector("figure[data-index='62'][data-ready]")
    for x, y in ((790, 590), (30, 590)):
        page.mouse.move(x, y)
        place = page.locator("#lens").bounding_box()
        assert place
        assert not place["x"] <= x <= place["x"] + place["width"]


@pytest.mark.integration
def test_frames_with_every_object_boxed_are_read_as_complete_truth(page: Page, tmp_path: Path) -> None:
    images = [(index, np.full((240, 400, 3), 60, np.uint8)) for index in (10, 20, 30, 40)]
    html = tmp_path / "mark.html"
    html.write_text(marking_page("duel.mp4", images, ["ship"]), encoding="utf-8")
    page.goto(html.as_uri())
    page.wait_for_selector("figure[data-index='40'][data-ready]")
    drag(page, 10, (20, 20), (39, 29))
    page.select_option("#label", "ship|yes")
    drag(page, 10, (100, 20), (119, 29))
    page.select_option("#label", "unsure|no")
    drag(page, 20, (50, 60), (69, 79))
    assert page.is_disabled("figure[data-index='10'] button.nothing"), "it has boxes"
    page.click("figure[data-index='30'] button.nothing")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "duel_complete.csv"
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert is_complete_truth(saved)
    rows = read_complete_truth(saved).drop(columns="clip")
    boxed = rows[rows["label"] != "none"]
    assert boxed.to_numpy().tolist() == [
        [10, 20, 20, 40, 30, "ship", "no"],
        [10, 100, 20, 120, 30, "ship", "yes"],
        [20, 50, 60, 70, 80, "unsure", "no"],
    ]
    assert rows.loc[rows["label"] == "none", "frame_index"].tolist() == [30], "40 was not judged"


@pytest.mark.integration
def test_boxes_can_be_zoomed_deleted_and_are_kept_over_a_reload(page: Page, tmp_path: Path) -> None:
    images = [(index, np.full((240, 400, 3), 60, np.uint8)) for index in (10, 20, 30)]
    html = tmp_path / "duel.mark.html"
    html.write_text(marking_page("duel.mp4", images), encoding="utf-8")
    page.goto(html.as_uri())
    page.wait_for_selector("figure[data-index='30'][data-ready]")
    for _ in range(2):
        page.keyboard.press("+")
    assert page.text_content("#zoom") == "200 %"
    drag(page, 10, (40, 40), (101, 81))  # at twice the size: pixels 20, 20 to 50, 40
    page.keyboard.press("2")
    drag(page, 10, (200, 40), (261, 81))
    drag(page, 20, (200, 40), (261, 81))
    page.keyboard.press("Delete")  # the box under the pointer
    assert page.text_content("#count") == "2 boxes"
    page.keyboard.press("Control+z")
    assert page.text_content("#count") == "3 boxes"
    page.click("figure[data-index='20'] .boxes button")  # the box's own button
    page.click("figure[data-index='30'] button.nothing")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert page.locator("figure.current").get_attribute("data-index") == "20"

    page.reload()
    page.wait_for_selector("figure[data-index='30'][data-ready]")
    assert page.text_content("#count") == "2 boxes"
    other = tmp_path / "again.html"  # as after `gotowce mark --frames 40`
    other.write_text(marking_page("duel.mp4", [(40, images[0][1])]), encoding="utf-8")
    page.goto(other.as_uri())
    page.wait_for_selector("figure[data-index='40'][data-ready]")
    drag(page, 40, (100, 80), (142, 122))
    assert page.text_content("#count") == "3 boxes, 2 of them on frames of another page"
    with page.expect_download() as download:
        page.click("#save")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    rows = read_truth(saved).drop(columns="clip")
    assert rows[rows["label"] != "none"].to_numpy().tolist() == [
        [10, 20, 20, 51, 41, "designator"],
        [10, 100, 20, 131, 41, "designator_partial"],
        [40, 100, 80, 143, 123, "designator"],
    ]
    assert rows.loc[rows["label"] == "none", "frame_index"].tolist() == [30]
    page.click("#clear")
    page.reload()
    assert page.text_content("#count") == "no box yet"
