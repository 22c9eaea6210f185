"""Contact sheet of a dataset: images with their labels drawn."""

from pathlib import Path

import numpy as np
import supervision as sv

from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import closeup
from gotowce_dagster.pictures.read import read_rgb

_SHOWN = 12


def dataset_sheet(folder: Path) -> np.ndarray:
    """Draw some images of a dataset, as close-ups where they have objects: RGB uint8 (H, W, 3).

    Raises:
        InputError: its provenance or one of the images is missing or damaged.
    """
    provenance = read_table(folder / "provenance.parquet", PROVENANCE)
    provenance = provenance[provenance["kind"] == "as-is"]
    rows = provenance.iloc[evenly(len(provenance), _SHOWN)].to_dict("records")
    return contact_sheet(
        [_before_and_after(folder, row["image"]) for row in rows],
        [f"{row['split']}: {row['video']}\nframe {row['frame_index']}, and without its mark" for row in rows],
    )


def _before_and_after(folder: Path, image: str) -> np.ndarray:
    """A close-up of the first target with its boxes, beside the same crop with marks erased."""
    picture, objects = read_objects(folder, image)
    if not len(objects):
        return picture
    names = list(objects.data["class_name"])
    box = objects.xyxy[0]
    margin = max(2.0, 30 / max(float((box[2:] - box[:2]).max()), 1.0))
    before = closeup(picture, objects, names, box=box, margin=margin)
    twin = folder / image.replace(".jpg", "_erased.jpg")
    if not twin.exists():
        return before
    after = closeup(read_rgb(twin), sv.Detections.empty(), [], box=box, margin=margin)
    return np.hstack([before, after])
