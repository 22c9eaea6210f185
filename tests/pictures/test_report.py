import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from gotowce_dagster.pictures.embed import data_uri
from gotowce_dagster.pictures.report import Section, Table, render_report


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)


def _report(limit: int = 400_000) -> str:
    inner = Section("Inner <b>", notes=["a & b"], pictures=[("a sheet", _noise(400, 600))])
    table = Table(["name", "score"], [["wróg", 0.98765], ["none", None], ["count", 12]], "caption")
    return render_report(
        "Title", {"top number": 0.5}, [Section("First", "text", tables=[table], parts=[inner])], limit
    )


def test_values_are_formatted() -> None:
    html = _report()
    for shown in ("0.988", "–", ">12<", "0.500", "top number", "wróg"):
        assert shown in html


def test_text_is_escaped() -> None:
    html = _report()
    assert "Inner &lt;b&gt;" in html
    assert "a &amp; b" in html


def test_commands_in_notes_and_captions_are_shown_as_code() -> None:
    table = Table(["name"], [["one"]], "see `gotowce rounds`")
    section = Section("First", notes=["run `gotowce mark <b>`; then save", "one ` alone"], tables=[table])
    html = render_report("Title", {}, [section], 1000)
    assert "<li>run <code>gotowce mark &lt;b&gt;</code>; then save</li>" in html
    assert "<li>one ` alone</li>" in html
    assert "<caption>see <code>gotowce rounds</code></caption>" in html


def test_report_loads_nothing_from_the_network() -> None:
    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen += [value or "" for name, value in attrs if name in ("src", "href")]

    links = Links()
    links.feed(_report())
    assert links.seen
    assert all(link.startswith(("data:", "#")) for link in links.seen)
    assert not re.search(r"url\(|@import|<script|<link", _report())


@pytest.mark.parametrize("limit", [60_000, 400_000])
def test_pictures_stay_within_their_share(limit: int) -> None:
    assert len(_report(limit)) < limit + 12_000


@pytest.mark.parametrize(("size", "limit"), [((2000, 3000), 200_000), ((30, 40), 20_000)])
def test_data_uri_fits(size: tuple[int, int], limit: int) -> None:
    uri = data_uri(_noise(*size), limit)
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < limit * 1.1


@pytest.mark.parametrize("width", [1400, 390])
def test_report_opens_in_a_browser(page: Page, tmp_path: Path, width: int) -> None:
    file = tmp_path / "report.html"
    file.write_text(_report(), encoding="utf-8")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(file.as_uri())
    assert page.title() == "Title"
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(url.startswith(("file:", "data:")) for url in asked)
