"""CSV: objects.csv, one row per object, and images/SPLIT/; pictures.csv, in every export, lists images."""

import csv
from collections.abc import Iterable
from pathlib import Path

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.interchange.base import About, Format, Picture

_COLUMNS = (
    *("file", "video", "frame_index", "detection_id", "object_id", "class_name", *BOX),
    *("confidence", "quality", "rle", "width", "height"),
)


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write the rows; ``rle`` is COCO's compressed RLE of the whole image, empty without a mask."""
    with (folder / "objects.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        rows.writeheader()
        for picture in pictures:
            of_picture = {
                "file": picture.file,
                "video": picture.video,
                "frame_index": picture.frame_index,
                "width": picture.width,
                "height": picture.height,
            }
            for thing in picture.objects:
                own = thing.notes() | {"class_name": thing.class_name, "rle": thing.rle}
                rows.writerow(of_picture | own | dict(zip(BOX, thing.box, strict=True)))


FORMAT = Format("csv", write, "images/{split}")
