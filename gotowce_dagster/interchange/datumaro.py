"""Datumaro's own format: annotations/SPLIT.json and images/SPLIT/.

An object with a mask is a box and a mask of one group, as in Datumaro's own exports.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gotowce_dagster.interchange.base import About, Format, LabelledObject, Picture
from gotowce_dagster.interchange.json_lists import json_lists

_IMAGES = 2
"""Datumaro's id of the media type image."""


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write one file per split."""
    numbers = {name: number for number, name in enumerate(about.classes)}
    labels = [{"name": name, "parent": "", "attributes": []} for name in about.classes]
    head = {
        "dm_format_version": "1.0",
        "media_type": _IMAGES,
        "infos": dict(about.description),
        "categories": {"label": {"labels": labels, "attributes": []}},
    }
    with ExitStack() as stack:
        files = {
            split: stack.enter_context(json_lists(folder / "annotations" / f"{split}.json", head, ("items",)))
            for split in about.splits
        }
        for picture in pictures:
            annotations = [
                shape
                for number, thing in enumerate(picture.objects, start=1)
                for shape in _shapes(picture, thing, number, numbers[thing.class_name])
            ]
            files[picture.split]["items"].append(
                {
                    "id": picture.stem,
                    "annotations": annotations,
                    "attr": picture.notes(),
                    "image": {"path": picture.name, "size": [picture.height, picture.width]},
                }
            )


def _shapes(picture: Picture, thing: LabelledObject, number: int, label: int) -> list[dict[str, Any]]:
    usual = {
        "id": number,
        "group": number,
        "label_id": label,
        "z_order": 0,
        "attributes": thing.notes(),
    }
    shapes: list[dict[str, Any]] = [usual | {"type": "bbox", "bbox": thing.xywh}]
    if thing.rle is not None:
        size = [picture.height, picture.width]
        shapes.append(usual | {"type": "mask", "rle": {"counts": thing.rle, "size": size}})
    return shapes


FORMAT = Format("datumaro", write, "images/{split}", can_reference=False)
