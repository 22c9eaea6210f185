"""A reviewer's session: a real browser, the real page, and the pulled reviews."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from playwright.sync_api import Page

from gotowce_dagster.review.connection import connect
from gotowce_dagster.review.server import Server
from tests.review.conftest import Desk, Running
from tests.worlds import HEIGHT, WIDTH, box_at, make_world

pytestmark = pytest.mark.integration

_BOX, _MASK = 0, 1  # positions in the list of regions
_NEXT_TASK_SHOWN = """before => {
  const task = window.Htx?.task, chosen = window.Htx?.annotationStore?.selected
  const isWhole = task?.id && task.id !== before && chosen?.regionStore?.regions?.length >= 2 &&
    chosen.objects.find(o => o.type === 'image')?.imageIsLoaded
  return isWhole ? [task.id, task.dataObj.frame_index] : null
}"""


@dataclass
class Reviewer:
    """A reviewer with a mouse and a keyboard."""

    page: Page

    @property
    def frame(self) -> int:
        """The frame that is shown now."""
        return self.page.evaluate("() => window.Htx.task.dataObj.frame_index")

    def log_in(self, server: Server) -> None:
        self.page.goto(f"{server.connection.url}/user/login")
        self.page.fill("input[name=email]", server.email)
        self.page.fill("input[name=password]", server.password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda url: "login" not in url)

    def begin(self, url: str) -> None:
        """Open the project's stream of tasks."""
        self.page.goto(f"{url}/data?labeling=1")
        self.wait_for_task(None)

    def wait_for_task(self, before: int | None) -> None:
        """Wait until the next task and its regions are shown and stable; returns the task."""
        while True:
            shown = self.page.wait_for_function(_NEXT_TASK_SHOWN, arg=before, timeout=60_000).json_value()
            self.page.wait_for_selector(".konvajs-content", timeout=60_000)
            # While the page changes tasks, it contains parts of both.
            self.page.wait_for_timeout(300)
            if self.page.evaluate(_NEXT_TASK_SHOWN, before) == shown:
                return

    def submit(self, verdict: str) -> None:
        """Press a verdict's key, submit, and wait for the next task."""
        task = self.page.evaluate("() => window.Htx.task.id")
        self.page.keyboard.press(verdict)
        self.page.click("[data-testid=bottombar-submit-button]")
        self.wait_for_task(task)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Screen position of a pixel of the frame."""
        box = self.page.locator(".konvajs-content").first.bounding_box()
        assert box is not None
        scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
        return box["x"] + x * scale, box["y"] + y * scale

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        # The page checks what is under the mouse when it next draws.
        self.page.wait_for_timeout(300)
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=8)
        self.page.mouse.up()

    def select(self, region: int) -> None:
        """Select a region in the list beside the image."""
        self.page.locator(".lsf-tree__node").nth(region).click()
        self.page.wait_for_timeout(300)


@pytest.fixture
def reviewer(page: Page) -> Iterator[Reviewer]:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield Reviewer(context.new_page())
    context.close()


@pytest.fixture
def desk(label_studio: Running) -> Desk:
    """The project that the server belongs to, whose images it serves."""
    connection = label_studio.server.connection
    world = make_world(label_studio.root, {"duel": ["hostile"] * 6})
    return Desk(connect(connection), connection.token, world, "in the browser")


def test_a_review_session_in_the_browser(label_studio: Running, desk: Desk, reviewer: Reviewer) -> None:
    outside: list[str] = []
    reviewer.page.on("request", lambda request: outside.append(request.url))
    missing: list[str] = []
    reviewer.page.on(
        "response", lambda r: missing.append(r.url) if "local-files" in r.url and not r.ok else None
    )
    url = desk.push(select="all").url
    reviewer.log_in(label_studio.server)
    reviewer.begin(url)
    page, done = reviewer.page, {}

    # Nothing can be submitted without a verdict.
    page.click("[data-testid=bottombar-submit-button]")
    page.get_by_text("Choose accept, fix or reject first").wait_for()
    page.keyboard.press("Escape")

    done["accepted"] = reviewer.frame
    reviewer.submit("a")

    done["moved"] = reviewer.frame
    x1, y1, x2, y2 = box_at(reviewer.frame // 10)
    reviewer.select(_BOX)
    reviewer.drag((x2, y2), (x2 + 9, y2 + 6))
    reviewer.submit("f")

    done["erased"] = reviewer.frame
    x1, y1, x2, y2 = box_at(reviewer.frame // 10)
    reviewer.select(_MASK)
    page.keyboard.press("e")
    reviewer.drag((x1, y1), (x2, y1))
    reviewer.submit("f")

    done["drawn anew"] = reviewer.frame
    away = 100 if box_at(reviewer.frame // 10)[2] < 90 else 20
    reviewer.select(_BOX)
    page.keyboard.press("Backspace")
    page.keyboard.press("1")
    reviewer.drag((away, 60), (away + 30, 80))
    page.keyboard.press("Escape")
    reviewer.submit("f")

    done["rejected"] = reviewer.frame
    reviewer.submit("r")

    done["skipped"] = reviewer.frame
    with page.expect_response(lambda response: "/annotations" in response.url):
        page.click("[data-testid=bottombar-skip-button]")

    assert desk.pull().videos == ["duel"]
    pulled = desk.reviewed("duel")
    reviews = {what: pulled[frame].reviews[0] for what, frame in done.items()}
    assert {what: (review.state, review.verdict) for what, review in reviews.items()} == {
        "accepted": ("done", "accept"),
        "moved": ("done", "fix"),
        "erased": ("done", "fix"),
        "drawn anew": ("done", "fix"),
        "rejected": ("done", "reject"),
        "skipped": ("skipped", None),
    }
    assert [change.kind for what in ("accepted", "rejected") for change in reviews[what].changes] == [
        "none"
    ] * 2

    (moved,) = reviews["moved"].changes
    before = box_at(done["moved"] // 10)
    assert (moved.kind, moved.mask_iou) == ("changed", 1.0)
    # The mouse hits within a pixel of the frame, which is four on the screen.
    assert np.subtract(reviews["moved"].objects[0].box, before) == pytest.approx([0, 0, 9, 6], abs=1.0)

    (erased,) = reviews["erased"].changes
    assert (erased.kind, erased.moved_px) == ("changed", 0.0)
    assert erased.mask_iou is not None
    assert 0 < erased.mask_iou < 0.9

    assert [change.kind for change in reviews["drawn anew"].changes] == ["added", "deleted"]
    (drawn,) = reviews["drawn anew"].objects
    assert drawn.box == pytest.approx((away, 60, away + 30, 80), abs=1.0)
    assert all(review.seconds for review in reviews.values())

    assert not missing
    assert not [url for url in outside if not url.startswith((desk.room.url, "data:", "blob:"))]
