"""YOLO text as ultralytics reads it: data.yaml, images/SPLIT/ and labels/SPLIT/.

With masks, each line is one polygon around all parts of an object, with holes filled, because the format
supports neither parts nor holes; without masks, it is a box.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.interchange.base import About, Format, Picture
from gotowce_dagster.labels.export import yolo_lines


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write one text file per image, empty without objects, and data.yaml."""
    numbers = {name: number for number, name in enumerate(about.classes)}
    for split in about.splits:
        (folder / "labels" / split).mkdir(parents=True)
    data: dict[str, object] = {split: f"images/{split}" for split in about.splits}
    # ultralytics requires a training split; users choose their own validation split.
    data = data if "train" in data else {"train": f"images/{about.splits[0]}"}
    data |= {"names": dict(enumerate(about.classes))}
    (folder / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), "utf-8")
    for picture in pictures:
        has_masks = any(thing.rle is not None for thing in picture.objects)
        lines = yolo_lines(_rows(picture), numbers, polygons=has_masks)
        target = folder / "labels" / picture.split / f"{picture.stem}.txt"
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _rows(picture: Picture) -> pd.DataFrame:
    size = {"width": picture.width, "height": picture.height}
    return pd.DataFrame(
        [
            {"class_name": thing.class_name, **dict(zip(BOX, thing.box, strict=True)), "rle": thing.rle}
            | size
            for thing in picture.objects
        ]
    )


FORMAT = Format("yolo", write, "images/{split}", can_reference=False)
