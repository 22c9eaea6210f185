"""Label Studio: tasks.json to import, config.xml for the labelling interface, and images/SPLIT/.

Reviewed images have annotations, the others predictions. Boxes and masks are written as in ``gotowce
review``: percentages in full precision, and each mask as one bitmap, so that it stays one region.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gotowce_dagster.core.sources import below_data
from gotowce_dagster.interchange.base import About, Format, Picture
from gotowce_dagster.interchange.json_lists import json_list
from gotowce_dagster.labels.reviews import ReviewedObject
from gotowce_dagster.review.config import labelling_config
from gotowce_dagster.review.regions import Size, regions
from gotowce_dagster.review.tasks import MODEL_VERSION, file_url


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write one task per image.

    The paths of images are relative to the parent of the export's folder, or to the project's data folder if
    images are not copied. Label Studio's local file storage must be set to that folder.
    """
    (folder / "config.xml").write_text(labelling_config(about.classes, "bitmask"), encoding="utf-8")
    with json_list(folder / "tasks.json") as tasks:
        for picture in pictures:
            tasks.append(_task(picture, str(about.description["folder"])))


def _task(picture: Picture, folder: str) -> dict[str, Any]:
    size = Size(picture.width, picture.height)
    objects = [
        (
            ReviewedObject(
                class_name=thing.class_name, box=thing.box, rle=thing.rle, detection_id=thing.detection_id
            ),
            thing.quality,
        )
        for thing in picture.objects
    ]
    file = Path(picture.file)
    path = Path(below_data(file)).relative_to("data") if file.is_absolute() else Path(folder, file)
    result = regions(objects, size, "bitmask")
    data = {"image": file_url(path), "width": size.width, "height": size.height} | picture.notes()
    if picture.reviewed:
        return {"data": data, "annotations": [{"result": result}]}
    return {"data": data, "predictions": [{"model_version": MODEL_VERSION, "result": result}]}


FORMAT = Format("labelstudio", write, "images/{split}")
