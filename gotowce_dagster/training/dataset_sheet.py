"""Images of a dataset with their labels on them."""

from pathlib import Path

import numpy as np

from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import closeup

_SHOWN = 12


def dataset_sheet(folder: Path) -> np.ndarray:
    """Some images of the dataset in a folder, close up where they have objects: RGB uint8 (H, W, 3).

    Raises:
        InputError: its provenance or one of the images is missing or damaged.
    """
    provenance = read_table(folder / "provenance.parquet", PROVENANCE)
    rows = provenance.iloc[evenly(len(provenance), _SHOWN)].to_dict("records")
    return contact_sheet(
        [_picture(folder, row["image"]) for row in rows],
        [f"{row['split']}: {row['video']}\nframe {row['frame_index']}" for row in rows],
    )


def _picture(folder: Path, image: str) -> np.ndarray:
    picture, objects = read_objects(folder, image)
    if not len(objects):
        return picture
    return closeup(picture, objects, list(objects.data["class_name"]), box=objects.xyxy[0], margin=2.0)
