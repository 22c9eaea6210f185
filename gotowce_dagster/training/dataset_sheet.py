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
from gotowce_dagster.training.fly_bys import read_fly_bys

_SHOWN, _FLY_BYS_SHOWN = 12, 4
_MARGIN_PX = 30


def dataset_sheet(folder: Path) -> np.ndarray:
    """Draw some images of a dataset, as close-ups where they have objects, and some fly-bys: RGB (H, W, 3).

    Raises:
        InputError: its provenance, its fly-bys or one of the images is missing or damaged.
    """
    provenance = read_table(folder / "provenance.parquet", PROVENANCE)
    provenance = provenance[provenance["kind"] == "as-is"]
    rows = provenance.iloc[evenly(len(provenance), _SHOWN)].to_dict("records")
    flying = read_fly_bys(folder)
    passed = [row for row in provenance.to_dict("records") if (row["video"], row["frame_index"]) in flying]
    passed = [passed[place] for place in evenly(len(passed), _FLY_BYS_SHOWN)]
    return contact_sheet(
        [
            *(_before_and_after(folder, row["image"]) for row in rows),
            *(_fly_by(folder, row["image"], flying[row["video"], row["frame_index"]][0]) for row in passed),
        ],
        [
            *(
                f"{row['split']}: {row['video']}\nframe {row['frame_index']}, and without its mark"
                for row in rows
            ),
            *(f"{row['video']} frame {row['frame_index']}:\nflies by, so background" for row in passed),
        ],
    )


def _fly_by(folder: Path, image: str, box: np.ndarray) -> np.ndarray:
    """A close-up of what flies by in an image."""
    shown = sv.Detections(box[None])
    return closeup(read_rgb(folder / image), shown, [""], box=box, margin=_margin(box))


def _margin(box: np.ndarray) -> float:
    """Margin of a close-up in long sides of a box: two, and some pixels at least."""
    return max(2.0, _MARGIN_PX / max(float((box[2:] - box[:2]).max()), 1.0))


def _before_and_after(folder: Path, image: str) -> np.ndarray:
    """A close-up of the first target with its boxes, beside the same crop with marks erased."""
    picture, objects = read_objects(folder, image)
    if not len(objects):
        return picture
    names = list(objects.data["class_name"])
    box = objects.xyxy[0]
    margin = _margin(box)
    before = closeup(picture, objects, names, box=box, margin=margin)
    twin = folder / image.replace(".jpg", "_erased.jpg")
    if not twin.exists():
        return before
    after = closeup(read_rgb(twin), sv.Detections.empty(), [], box=box, margin=margin)
    return np.hstack([before, after])
