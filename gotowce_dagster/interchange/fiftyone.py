"""FiftyOne: metadata.json, samples.json and data/, read as ``fiftyone.types.LegacyFiftyOneDataset``.

In FiftyOne, a mask fills the box of its detection, so the detection gets the bounding box of the mask. The
label's own box is in the field ``label_box``, in pixels.
"""

import base64
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gotowce_dagster.interchange.base import About, Format, LabelledObject, Picture, bounds
from gotowce_dagster.interchange.json_lists import json_lists

FIELD = "ground_truth"


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write samples.json, sample by sample; the split is a tag."""
    metadata = {
        "media_type": "image",
        "default_classes": list(about.classes),
        "info": dict(about.description),
    }
    with (
        json_lists(folder / "metadata.json", metadata, ("classes",)),
        json_lists(folder / "samples.json", {}, ("samples",)) as lists,
    ):
        for picture in pictures:
            notes = picture.notes()
            size = {"width": picture.width, "height": picture.height}
            sample = {
                "filepath": picture.file,
                "tags": [notes.pop("split")],
                "metadata": {"_cls": "ImageMetadata"} | size,
                FIELD: {
                    "_cls": "Detections",
                    "detections": [_detection(picture, thing) for thing in picture.objects],
                },
            }
            lists["samples"].append(sample | notes)


def _detection(picture: Picture, thing: LabelledObject) -> dict[str, Any]:
    mask = picture.mask(thing)
    x1, y1, x2, y2 = thing.box if mask is None else bounds(mask)
    width, height = picture.width, picture.height
    detection: dict[str, Any] = {
        "_cls": "Detection",
        "label": thing.class_name,
        "bounding_box": [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height],
        "label_box": list(thing.box),
        **thing.notes(),
    }
    if mask is not None:
        inner = mask[int(y1) : int(y2), int(x1) : int(x2)]
        detection["mask"] = {"$binary": {"base64": _packed(inner), "subType": "00"}}
    return detection


def _packed(array: np.ndarray) -> str:
    """An array as a compressed NumPy file, as stored by FiftyOne."""
    with io.BytesIO() as file:
        np.save(file, array, allow_pickle=False)
        return base64.b64encode(zlib.compress(file.getvalue())).decode("ascii")


FORMAT = Format("fiftyone", write, "data")
