"""Interactive segmentation: the protocol by hand, through the real server, and with a mouse."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Page
from starlette.testclient import TestClient

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.masks import mask_iou
from gotowce_dagster.core.tables import DETECTIONS, read_table, write_table
from gotowce_dagster.review.assist import Assistant, build_model
from gotowce_dagster.review.assist_registration import registered
from gotowce_dagster.review.assist_server import (
    application,
    serving,
)
from gotowce_dagster.review.bitmask import url_to_mask
from gotowce_dagster.review.config import MaskForm, labelling_config, with_smart_tools, without_smart_tools
from gotowce_dagster.review.connection import connect
from gotowce_dagster.review.regions import Size, objects
from gotowce_dagster.review.room import find_project
from tests.review.assisting import AUTH, PASSWORD, SIZE, click, middle, rectangle, request, square
from tests.review.clicking import Flood
from tests.review.conftest import Desk, Running
from tests.review.test_browser import _BOX, _MASK, Reviewer
from tests.segmenters.test_sam2 import needs, truth_frames
from tests.worlds import HEIGHT, WIDTH, box_at, make_world


@pytest.mark.parametrize("asked", [click(*middle(1)), rectangle(*np.add(box_at(1), [-3, -3, 3, 3]))])
def test_a_click_or_a_box_gives_the_mask_under_it(backend: TestClient, asked: dict[str, Any]) -> None:
    (answer,) = backend.post("/predict", json=request(asked, frame=10)).json()["results"]
    (region,) = answer["result"]
    assert (region["type"], region["from_name"], region["to_name"]) == ("bitmasklabels", "mask", "image")
    assert region["value"]["bitmasklabels"] == ["hostile"]
    # JPEG softens the square's edge.
    assert mask_iou(url_to_mask(region["value"]["imageDataURL"]), square(1)) > 0.85
    assert answer["model_version"] == "flood"
    assert objects(answer["result"], SIZE)[0].detection_id is None


def test_every_click_of_a_region_counts(backend: TestClient, model: Flood) -> None:
    x, y = middle(0)
    clicks = [click(x, y), click(x + 4, y), click(x, y + 40, positive=False, name="neutral")]
    (answer,) = backend.post("/predict", json=request(*clicks)).json()["results"]
    given = [p.labels.tolist() for p in model.asked if p.labels is not None and len(p.labels) == 3]
    assert given
    assert given[0] == [1, 1, 0]
    assert answer["result"][0]["value"]["bitmasklabels"] == ["neutral"]


def test_a_second_click_in_the_designator_reuses_the_embedding(backend: TestClient, model: Flood) -> None:
    x, y = middle(0)
    backend.post("/predict", json=request(click(x, y)))
    encoded = len(model.encoded)
    assert encoded == 2
    backend.post("/predict", json=request(click(x, y), click(x + 5, y + 3)))
    backend.post("/predict", json=request(click(x - 4, y - 4)))
    assert len(model.encoded) == encoded
    backend.post("/predict", json=request(click(*middle(1)), frame=10))
    assert len(model.encoded) == encoded + 2


def test_polygon_pages_get_polygons(backend: TestClient) -> None:
    config = labelling_config(["hostile"], "polygon")
    (answer,) = backend.post("/predict", json=request(click(*middle(0)), config=config)).json()["results"]
    assert {region["type"] for region in answer["result"]} == {"polygonlabels"}


def test_no_clicks_give_no_results(backend: TestClient, model: Flood) -> None:
    (answer,) = backend.post("/predict", json=request()).json()["results"]
    assert answer["result"] == []
    assert not model.encoded
    assert backend.get("/health").json()["status"] == "UP"
    assert backend.post("/webhook", json={"action": "ANNOTATION_CREATED"}).is_success


def test_a_segmenter_without_clicks_is_refused(world: Project) -> None:
    with pytest.raises(InputError, match=r"grabcut does not accept clicks.*--engine"):
        build_model("grabcut", world)


@pytest.mark.parametrize("form", ["bitmask", "polygon"])
def test_smart_tools_are_added_and_removed(form: MaskForm) -> None:
    plain = labelling_config(["hostile", "neutral"], form)
    smart = with_smart_tools(plain)
    assert smart.count('smart="true"') == 2
    assert with_smart_tools(smart) == smart
    canonical = ElementTree.canonicalize
    assert canonical(without_smart_tools(smart), strip_text=True) == canonical(plain, strip_text=True)
    assert without_smart_tools(plain).count("smart") == 0


@pytest.mark.integration
def test_label_studio_calls_the_backend_and_the_page_is_restored(desk: Desk, model: Flood) -> None:
    desk.push(select="all")
    client = desk.room.client
    before = find_project(client, desk.title)
    assert before is not None
    logged: list[str] = []
    app = application(Assistant(desk.world, model), logged.append, PASSWORD)
    with serving(app, 0) as url, registered(desk.room, desk.title, url, PASSWORD) as page:
        assert page == f"{desk.room.url}/projects/{before.id}"
        now = client.projects.get(before.id)
        assert now.label_config is not None
        assert now.label_config.count('smart="true"') == 2
        (backend,) = client.ml.list(project=before.id)
        assert backend.id is not None
        assert backend.is_interactive
        assert not client.webhooks.list(project=str(before.id))
        first = desk.tasks()[0]
        answer = httpx.post(
            f"{desk.room.url}/api/ml/{backend.id}/interactive-annotating",
            json={"task": first["id"], "context": {"result": [click(*middle(0))]}},
            headers={"Authorization": f"Token {desk.token}"},
            timeout=60,
        ).json()
        (region,) = answer["data"]["result"]
        assert mask_iou(url_to_mask(region["value"]["imageDataURL"]), square(0)) > 0.85
        # Reviewers still see our labels, and a push still works.
        assert client.projects.get(before.id).model_version == "labels"
        assert desk.push(select="all").unchanged == 5
    after = client.projects.get(before.id)
    assert after.label_config is not None
    assert "smart" not in after.label_config
    assert not client.ml.list(project=before.id)
    assert desk.token not in " ".join(logged)


_REGIONS = "window.Htx.annotationStore.selected.regionStore.regions"


@pytest.mark.integration
def test_a_reviewer_clicks_and_submits_the_mask(label_studio: Running, page: Page, model: Flood) -> None:
    """Delete a wrong mask, then click for a new one: once on the target, once beside it with Alt."""
    server = label_studio.server
    world = make_world(label_studio.root, {"clicked": ["hostile"] * 6})
    desk = Desk(connect(server.connection), server.connection.token, world, "with clicks")
    url = desk.push(select="all").url
    reviewer = Reviewer(page)
    app = application(Assistant(world, model), lambda _: None, PASSWORD)
    with serving(app, 0) as address, registered(desk.room, desk.title, address, PASSWORD):
        reviewer.log_in(server)
        reviewer.begin(url)
        frame = reviewer.frame
        x, y = middle(frame // 10)
        aside = y + 24 if y < HEIGHT / 2 else y - 24
        page.get_by_text("Auto-Annotation").first.click()
        for region in (_MASK, _BOX):
            reviewer.select(region)
            page.keyboard.press("Backspace")
            page.wait_for_function(f"() => {_REGIONS}.length === {region}")
        page.locator(".lsf-toolbar .lsf-tool_smart").first.hover()
        # The menu closes as soon as the mouse leaves it for a moment.
        page.locator("[aria-label=key-point-tool]").evaluate("button => button.click()")
        for at, keys in (((x, y), ()), ((x, aside), ("Alt",))):
            # The hotkey of the class: for boxes, masks and clicks.
            page.keyboard.press("3")
            page.wait_for_timeout(300)
            with page.expect_response(lambda response: "interactive-annotating" in response.url) as answer:
                for key in keys:
                    page.keyboard.down(key)
                page.mouse.click(*reviewer.at(*at))
                for key in keys:
                    page.keyboard.up(key)
            assert answer.value.ok
        page.click("[data-testid=bottombar-accept-suggestions-button]")
        page.keyboard.press("Escape")
        reviewer.submit("f")
    assert [p.labels.tolist() for p in model.asked if p.labels is not None][-1][:2] == [1, 0]
    desk.pull()
    (review,) = desk.reviewed("clicked")[frame].reviews
    (found,) = review.objects
    assert (review.verdict, found.class_name, found.detection_id) == ("fix", "hostile", None)
    assert found.rle is not None
    assert mask_iou(rle.decode(found.rle, HEIGHT, WIDTH), square(frame // 10)) > 0.85


@pytest.mark.integration
def test_a_missing_project_names_the_command_that_creates_it(desk: Desk) -> None:
    with (
        pytest.raises(InputError, match="review push"),
        registered(desk.room, "missing", "http://127.0.0.1:9", PASSWORD),
    ):
        pytest.fail("there is nothing to register with")


@pytest.mark.weights
def test_a_real_model_segments_a_click_on_a_real_frame(tmp_path: Path) -> None:
    weights = "sam2_hiera_tiny_image.pt"
    needs(weights)
    image, designator, target = truth_frames("oolite_red_sample.mp4", 1)[0]
    world = make_world(tmp_path, {"duel": ["hostile"]})
    cv2.imwrite(str(world.paths.frames("duel") / "000000.jpg"), image[..., ::-1])
    found = read_table(world.paths.detections("duel"), DETECTIONS)
    write_table(
        found.assign(**dict(zip(BOX, designator, strict=True))),
        DETECTIONS,
        world.paths.detections("duel"),
    )
    app = application(Assistant(world, build_model(f"sam2:{weights}", world)), print, PASSWORD)
    height, width = image.shape[:2]
    x, y = (target[:2] + target[2:]) / 2
    asked = click(x * WIDTH / width, y * HEIGHT / height)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.auth = AUTH
        (answer,) = client.post("/predict", json=request(asked)).json()["results"]
    (region,) = answer["result"]
    assert (region["original_width"], region["original_height"]) == (width, height)
    (thing,) = objects(answer["result"], Size(width, height))
    assert np.abs(np.array(thing.box) - target).max() <= 2
    assert answer["model_version"] == f"sam2:{weights}"
