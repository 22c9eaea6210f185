"""COCO instances: annotations/instances_SPLIT.json and images/SPLIT/.

Masks are compressed RLE with ``iscrowd`` 0, which keeps the parts and holes of an object; polygons would lose
holes. Category ids start at 1, as in COCO.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from gotowce_dagster.core import rle
from gotowce_dagster.interchange.base import About, Format, LabelledObject, Picture
from gotowce_dagster.interchange.json_lists import json_lists


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write one annotation file per split; ``file_name`` is relative to images/SPLIT."""
    categories = [{"id": number, "name": name} for number, name in enumerate(about.classes, start=1)]
    numbers = {category["name"]: category["id"] for category in categories}
    head = {"info": dict(about.description), "licenses": [], "categories": categories}
    with ExitStack() as stack:
        files = {
            split: stack.enter_context(
                json_lists(
                    folder / "annotations" / f"instances_{split}.json", head, ("images", "annotations")
                )
            )
            for split in about.splits
        }
        annotation_id = 0
        for image_id, picture in enumerate(pictures, start=1):
            lists = files[picture.split]
            lists["images"].append(_image(picture, image_id))
            for thing in picture.objects:
                annotation_id += 1
                ids = {"id": annotation_id, "image_id": image_id, "category_id": numbers[thing.class_name]}
                lists["annotations"].append(ids | _shape(picture, thing) | {"attributes": thing.notes()})


def _image(picture: Picture, number: int) -> dict[str, Any]:
    name = picture.file if Path(picture.file).is_absolute() else picture.name
    size = {"width": picture.width, "height": picture.height}
    return {"id": number, "file_name": name} | size | picture.notes()


def _shape(picture: Picture, thing: LabelledObject) -> dict[str, Any]:
    _, _, width, height = thing.xywh
    shape: dict[str, Any] = {"bbox": thing.xywh, "area": width * height, "iscrowd": 0, "segmentation": []}
    if thing.rle is not None:
        shape["area"] = int(np.count_nonzero(rle.decode(thing.rle, picture.height, picture.width)))
        shape["segmentation"] = {"size": [picture.height, picture.width], "counts": thing.rle}
    return shape


FORMAT = Format("coco", write, "images/{split}")
