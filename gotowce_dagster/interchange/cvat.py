"""CVAT for images 1.1: annotations.xml and images/SPLIT/.

Masks use CVAT's mask shape, which keeps parts and holes exactly. If an object's box differs from the bounding
box of its mask, the box is a second shape of the same group.
"""

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from gotowce_dagster.interchange.base import About, Format, LabelledObject, Picture, bounds

_ATTRIBUTES = ("detection_id", "object_id", "quality", "confidence")


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write one XML file, image by image."""
    with (folder / "annotations.xml").open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(_text(_meta(about)))
        groups = count(1)
        for number, picture in enumerate(pictures):
            size = {"width": picture.width, "height": picture.height}
            image = _element("image", id=number, name=_name(picture), subset=picture.split, **size)
            for thing in picture.objects:
                image.extend(_shapes(picture, thing, next(groups)))
            file.write(_text(image))
        file.write("</annotations>\n")


def _shapes(picture: Picture, thing: LabelledObject, group: int) -> list[ElementTree.Element]:
    usual: dict[str, Any] = {
        "label": thing.class_name,
        "source": "manual" if picture.reviewed else "auto",
        "occluded": 0,
        "z_order": 0,
    }
    sides = dict(zip(("xtl", "ytl", "xbr", "ybr"), thing.box, strict=True))
    mask = picture.mask(thing)
    if mask is None:
        shapes = [_element("box", **usual, **sides)]
    elif (around := bounds(mask)) == thing.box:
        shapes = [_element("mask", **usual, **_mask(mask, around))]
    else:
        usual |= {"group_id": group}
        shapes = [_element("mask", **usual, **_mask(mask, around)), _element("box", **usual, **sides)]
    for shape in shapes:
        for name, value in thing.notes().items():
            _add(shape, "attribute", value, name=name)
    return shapes


def _mask(mask: np.ndarray, around: tuple[int, int, int, int]) -> dict[str, Any]:
    """CVAT's run-length encoding: row by row through the box, background first."""
    x1, y1, x2, y2 = around
    pixels = mask[y1:y2, x1:x2].ravel()
    ends = np.flatnonzero(np.diff(pixels, prepend=False, append=not pixels[-1]))
    runs = np.diff(ends, prepend=0)
    return {"rle": ", ".join(map(str, runs)), "left": x1, "top": y1, "width": x2 - x1, "height": y2 - y1}


def _meta(about: About) -> ElementTree.Element:
    meta = _element("meta")
    # A project, because a task has one subset.
    project = _add(meta, "project")
    _add(project, "name", f"{about.labels} labels")
    tasks = _add(project, "tasks")
    for number, split in enumerate(about.splits):
        task = _add(tasks, "task")
        for tag, text in (("id", number), ("name", split), ("subset", split), ("mode", "annotation")):
            _add(task, tag, text)
    labels = _add(project, "labels")
    for name in about.classes:
        label = _add(labels, "label")
        _add(label, "name", name)
        attributes = _add(label, "attributes")
        for note in _ATTRIBUTES:
            attribute = _add(attributes, "attribute")
            for tag, text in (("name", note), ("mutable", "False"), ("input_type", "text")):
                _add(attribute, tag, text)
            _add(attribute, "default_value", "")
            _add(attribute, "values", "")
    return meta


def _name(picture: Picture) -> str:
    return picture.file.removeprefix("images/")


def _element(tag: str, **attributes: object) -> ElementTree.Element:
    return ElementTree.Element(tag, {name: str(value) for name, value in attributes.items()})


def _add(
    parent: ElementTree.Element, tag: str, text: object = None, **attributes: object
) -> ElementTree.Element:
    node = _element(tag, **attributes)
    node.text = None if text is None else str(text)
    parent.append(node)
    return node


def _text(element: ElementTree.Element) -> str:
    ElementTree.indent(element)
    return ElementTree.tostring(element, encoding="unicode") + "\n"


FORMAT = Format("cvat", write, "images/{split}")
