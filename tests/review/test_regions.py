import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gotowce_dagster.core import rle
from gotowce_dagster.labels.reviews import ReviewedObject
from gotowce_dagster.review.bitmask import mask_to_url
from gotowce_dagster.review.config import MaskForm
from gotowce_dagster.review.regions import (
    Size,
    changes,
    objects,
    percent_box,
    percent_polygons,
    pixel_box,
    polygon_to_mask,
    regions,
)
from tests.review.frames import SIZE, square, thing

_SIDE = st.integers(16, 4096)
_PLACE = st.floats(0, 1)


@given(_SIDE, _SIDE, _PLACE, _PLACE, _PLACE, _PLACE)
def test_boxes_round_trip(width: int, height: int, a: float, b: float, c: float, d: float) -> None:
    size = Size(width, height)
    assume(abs(a - c) > 1e-6 and abs(b - d) > 1e-6)
    box = (min(a, c) * width, min(b, d) * height, max(a, c) * width, max(b, d) * height)
    assert pixel_box(percent_box(box, size), size) == pytest.approx(box, abs=1e-9)


def test_a_box_is_clipped_to_the_frame() -> None:
    assert percent_box((-8, -8, 80, 200), SIZE) == {"x": 0, "y": 0, "width": 50, "height": 100}


def test_a_rotated_rectangle_becomes_its_bounding_box() -> None:
    # A quarter turn around its upper left corner: 20 x 10 px at (80, 48) lies left of that corner.
    value = {"x": 50, "y": 50, "width": 12.5, "height": 100 * 10 / 96, "rotation": 90}
    assert pixel_box(value, SIZE) == pytest.approx((70, 48, 80, 68))


def test_polygons_keep_pieces_and_edges() -> None:
    mask = square(10, 10, 60, 50) | square(100, 20, 101, 21) | square(120, 30, 150, 90)
    mask[10:20, 10:20] = False
    polygons = percent_polygons(mask, 0.5)
    assert len(polygons) == 3
    assert all(len(points) >= 3 for points in polygons)
    back = np.any([polygon_to_mask(points, SIZE) for points in polygons], axis=0)
    assert (back & mask).sum() / (back | mask).sum() > 0.995


@pytest.mark.parametrize("masks", ["bitmask", "polygon"])
def test_objects_round_trip(masks: MaskForm) -> None:
    sent = [
        thing(10, 20, 40, 60, label=0),
        thing(100.25, 5.5, 120.75, 30, name="drone", label=7, mask=False),
        ReviewedObject(
            class_name="ship",
            box=(60, 60, 90, 90),
            rle=rle.encode(square(60, 60, 70, 90) | square(80, 60, 90, 90)),
            detection_id=3,
        ),
    ]
    result = regions([(one, 0.5) for one in sent], SIZE, masks)
    assert [region["id"].split("-")[:2] for region in result if region["from_name"] == "box"] == [
        ["box", "0"],
        ["box", "7"],
        ["box", "3"],
    ]
    back = objects(result, SIZE)
    assert [(o.class_name, o.rle, o.detection_id) for o in back] == [
        (o.class_name, o.rle, o.detection_id) for o in sent
    ]
    for one, other in zip(back, sent, strict=True):
        assert one.box == pytest.approx(other.box, abs=1e-9)
    assert {change.kind for change in changes(sent, back, SIZE)} == {"none"}


def _named(result: list[dict], **ids: str) -> list[dict]:
    return [region | {"id": ids.get(region["id"].replace("-", "_"), region["id"])} for region in result]


def _of(*things: ReviewedObject) -> list[dict]:
    return regions([(one, 1.0) for one in things], SIZE, "bitmask")


_BOX, _MASK = _of(thing(10, 20, 40, 60, label=0))
_MOVED = _of(thing(12, 20, 42, 60, label=0))[0]
_WIPED = {**_MASK, "value": {**_MASK["value"], "imageDataURL": mask_to_url(square(0, 0, 0, 0))}}
_OTHER_CLASS = {**_MASK, "value": {**_MASK["value"], "bitmasklabels": ["drone"]}}


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ([_BOX, _MASK], [("ship", 0, True)]),
        ([_BOX], [("ship", 0, False)]),
        ([_MASK], []),
        ([{**_MASK, "id": "drawn"}], [("ship", None, True)]),
        ([{**_MOVED, "id": "drawn"}, _MASK], [("ship", 0, True)]),
        ([_BOX, {**_MASK, "id": "drawn"}], [("ship", 0, True)]),
        ([_BOX, _OTHER_CLASS], [("drone", 0, True)]),
        ([{"id": "x", "type": "choices", "value": {"choices": ["blur"]}}], []),
        ([_BOX, _WIPED], [("ship", 0, False)]),
    ],
    ids=[
        "box and mask of one label",
        "mask deleted",
        "box deleted: its mask goes with it",
        "mask drawn alone",
        "box drawn anew on the mask",
        "mask drawn anew in the box",
        "class changed on the mask only",
        "what is no region",
        "mask wiped out",
    ],
)
def test_boxes_and_masks_are_paired(result: list[dict], found: list[tuple]) -> None:
    before = [thing(10, 20, 40, 60, label=0)]
    assert [(o.class_name, o.detection_id, o.rle is not None) for o in objects(result, SIZE, before)] == found


def test_a_mask_drawn_alone_gets_its_bounding_box() -> None:
    (drawn,) = objects([{**_MASK, "id": "drawn"}], SIZE)
    assert drawn.box == (10, 20, 40, 60)


_A, _B = thing(10, 20, 40, 60, label=0), thing(100, 20, 140, 60, label=1)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([_A, _B], [("none", 0, 0.0, 1.0), ("none", 1, 0.0, 1.0)]),
        ([_B], [("none", 1, 0.0, 1.0), ("deleted", 0, 0.0, None)]),
        (
            [_A.model_copy(update={"box": (7.5, 20, 40, 60)}), _B],
            [("changed", 0, 2.5, 1.0), ("none", 1, 0.0, 1.0)],
        ),
        (
            [_A, _B.model_copy(update={"rle": rle.encode(square(100, 20, 120, 60))})],
            [("none", 0, 0.0, 1.0), ("changed", 1, 0.0, 0.5)],
        ),
        (
            [_A, _B.model_copy(update={"rle": None})],
            [("none", 0, 0.0, 1.0), ("changed", 1, 0.0, 0.0)],
        ),
        (
            [_A, _B, thing(60, 60, 80, 80)],
            [("none", 0, 0.0, 1.0), ("none", 1, 0.0, 1.0), ("added", None, 0.0, 0.0)],
        ),
        (
            [_A, thing(103, 20, 140, 60, mask=False)],
            [("none", 0, 0.0, 1.0), ("changed", 1, 3.0, 0.0)],
        ),
    ],
    ids=[
        "untouched",
        "deleted",
        "a side moved",
        "half of the mask wiped",
        "mask deleted",
        "drawn",
        "deleted and drawn anew at its place",
    ],
)
def test_changes(after: list[ReviewedObject], expected: list[tuple]) -> None:
    found = [(c.kind, c.detection_id, c.moved_px, c.mask_iou) for c in changes([_A, _B], after, SIZE)]
    assert found == expected


def test_another_class_is_a_change() -> None:
    (found,) = changes([_A], [_A.model_copy(update={"class_name": "drone"})], SIZE)
    assert (found.kind, found.class_before, found.class_name) == ("changed", "ship", "drone")


def _changed(region: dict, **value: object) -> dict:
    return {**region, "value": {**region["value"], **value}}


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (_changed(_BOX, x=float("nan")), "rectangle of x nan"),
        (_changed(_BOX, y=float("inf")), "rectangle of x 6.25, y inf"),
        (_changed(_BOX, width=-5.0), "width and height above 0"),
        (_changed(_BOX, height=0.0), "width and height above 0"),
        (_changed(_BOX, x=1e300), "expected percent of the frame"),
        (_changed(_BOX, x=150.0), "lies outside the frame"),
        (_changed(_BOX, x=None), "box-0"),
        (_changed(_BOX, rectanglelabels=[]), "it has no class"),
        (_changed(_BOX, rectanglelabels=[""]), "readable on one line"),
        (_changed(_BOX, rectanglelabels=["a\nb"]), "readable on one line"),
        ({**_BOX, "original_width": 1920, "original_height": 1080}, "drawn on an image of 1920 x 1080"),
        ({**_BOX, "id": f"box-{2**40}"}, "detection_id"),
        ({**_BOX, "value": {"rectanglelabels": ["ship"]}}, "it lacks 'x'"),
        (
            _changed(_MASK, imageDataURL=mask_to_url(square(0, 0, 1, 1, Size(80, 48)))),
            r"the mask has \(80, 48\) pixels",
        ),
        (_changed(_MASK, imageDataURL="data:image/png;base64,AAAA"), "not a PNG"),
        (_changed(_MASK, imageDataURL=7), "region mask-0"),
        (
            {**_MASK, "type": "polygonlabels", "value": {"polygonlabels": ["ship"], "points": []}},
            "points of the polygon",
        ),
        (
            {
                **_MASK,
                "type": "polygonlabels",
                "value": {"polygonlabels": ["a"], "points": [[1, float("nan")]]},
            },
            "points of the polygon",
        ),
        (
            {
                **_MASK,
                "type": "polygonlabels",
                "value": {"polygonlabels": ["a"], "points": [[1, 1e9], [2, 2]]},
            },
            "points of the polygon",
        ),
    ],
    ids=[
        "not a number",
        "infinite",
        "turned inside out",
        "flat",
        "overflowing",
        "beside the frame",
        "null",
        "no class",
        "empty class",
        "class of two lines",
        "drawn on another size",
        "an id that no table holds",
        "without a place",
        "mask of another size",
        "mask that is not an image",
        "mask that is a number",
        "polygon without points",
        "polygon with a hole in its numbers",
        "polygon beyond all pictures",
    ],
)
def test_invalid_regions_are_refused_by_name(region: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objects([region], SIZE)


def test_a_rotated_rectangle_at_the_edge_is_clipped() -> None:
    turned = _changed(_BOX, x=2.0, y=2.0, width=20.0, height=20.0, rotation=45)
    (found,) = objects([turned], SIZE)
    assert found.box[0] == 0
    assert found.box[2] > 20
    found.check_within(SIZE.width, SIZE.height)


@given(
    st.text(max_size=40), st.dictionaries(st.text(max_size=8), st.floats() | st.text(max_size=5) | st.none())
)
def test_any_region_is_read_or_refused_with_a_message(name: str, value: dict) -> None:
    kinds = ("rectanglelabels", "bitmasklabels", "polygonlabels")
    for kind in kinds:
        whole = {"x": 1, "y": 1, "width": 9, "height": 9, "points": [[1, 1]], "imageDataURL": "", kind: ["a"]}
        try:
            found = objects([{"id": name, "type": kind, "value": whole | value}], SIZE)
        except ValueError as error:
            assert "region" in str(error) or "detection_id" in str(error)
        else:
            for thing_found in found:
                thing_found.check_within(SIZE.width, SIZE.height)
