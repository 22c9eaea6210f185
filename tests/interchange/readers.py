"""What other libraries read from an export: run as a script, because some need an environment of their own.

``python readers.py LIBRARY FORMAT FOLDER OUT`` writes JSON: of each picture, by its name without suffix, its
split and its objects: class, box (x1, y1, x2, y2) and mask (run lengths by column, background first).
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


def runs(mask: np.ndarray) -> list[int]:
    pixels = np.asarray(mask, bool).ravel(order="F")
    ends = np.flatnonzero(np.diff(pixels, prepend=False, append=not pixels[-1]))
    return np.diff(ends, prepend=0).tolist()


def thing(name: str, box, mask) -> dict:
    return {
        "class": name,
        "box": None if box is None else [float(side) for side in box],
        "mask": None if mask is None else runs(mask),
    }


def pycocotools_coco(folder: Path) -> Iterator[tuple[str, str, list]]:
    from pycocotools.coco import COCO

    for file in sorted((folder / "annotations").glob("*.json")):
        coco = COCO(str(file))
        for image in coco.loadImgs(coco.getImgIds()):
            objects = []
            for one in coco.loadAnns(coco.getAnnIds(image["id"])):
                x, y, width, height = one["bbox"]
                (category,) = coco.loadCats(one["category_id"])
                mask = coco.annToMask(one) if one["segmentation"] else None
                objects.append(thing(category["name"], (x, y, x + width, y + height), mask))
            yield Path(image["file_name"]).stem, file.stem.removeprefix("instances_"), objects


def _supervision(dataset, split: str) -> Iterator[tuple[str, str, list]]:
    for path, _, found in dataset:
        masks = [None] * len(found) if found.mask is None else list(found.mask)
        rows = zip(found.class_id, found.xyxy, masks, strict=True)
        objects = [
            thing(dataset.classes[number], box, mask if mask is not None and mask.any() else None)
            for number, box, mask in rows
        ]
        yield Path(path).stem, split, objects


def supervision_coco(folder: Path) -> Iterator[tuple[str, str, list]]:
    import supervision as sv

    for file in sorted((folder / "annotations").glob("*.json")):
        split = file.stem.removeprefix("instances_")
        images = folder / "images" / split
        if images.exists():
            yield from _supervision(
                sv.DetectionDataset.from_coco(str(images), str(file), force_masks=True), split
            )


def supervision_yolo(folder: Path) -> Iterator[tuple[str, str, list]]:
    import supervision as sv

    for images in sorted((folder / "images").iterdir()):
        labels = folder / "labels" / images.name
        dataset = sv.DetectionDataset.from_yolo(str(images), str(labels), str(folder / "data.yaml"))
        yield from _supervision(dataset, images.name)


def supervision_voc(folder: Path) -> Iterator[tuple[str, str, list]]:
    import supervision as sv

    dataset = sv.DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    split = {
        stem: file.stem
        for file in (folder / "ImageSets" / "Main").iterdir()
        for stem in file.read_text().splitlines()
    }
    for stem, _, objects in _supervision(dataset, ""):
        yield stem, split[stem], objects


def ultralytics_yolo(folder: Path) -> Iterator[tuple[str, str, list]]:
    import yaml
    from ultralytics.data.utils import polygon2mask, verify_image_label

    names = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    for image in sorted((folder / "images").rglob("*.jpg")):
        split = image.parent.name
        label = folder / "labels" / split / f"{image.stem}.txt"
        checked = verify_image_label((str(image), str(label), "", False, len(names), 0, 0, False))
        _, rows, (height, width), segments = checked[:4]
        assert checked[-1] == "", checked[-1]
        objects = []
        for place, (number, x, y, w, h) in enumerate(rows):
            box = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
            mask = None
            if segments:
                outline = (segments[place] * [width, height]).ravel()
                mask = polygon2mask((height, width), [outline], 1, 1)
            objects.append(thing(names[int(number)], box, mask))
        yield image.stem, split, objects


def datumaro_(kind: str) -> Callable[[Path], Iterator[tuple[str, str, list]]]:
    def read(folder: Path) -> Iterator[tuple[str, str, list]]:
        import datumaro as dm  # ty: ignore[import-not-found]
        from datumaro.components.annotation import AnnotationType  # ty: ignore[import-not-found]

        options = {"coordinate_mode": "voc-one-based"} if kind == "voc" else {}
        dataset = dm.Dataset.import_from(str(folder), kind, **options)
        names = [label.name for label in dataset.categories()[AnnotationType.label]]
        for item in dataset:
            groups: dict = {}
            for place, one in enumerate(item.annotations):
                if one.type not in {AnnotationType.bbox, AnnotationType.mask, AnnotationType.polygon}:
                    continue
                of_object = groups.setdefault(one.group or f"alone{place}", {"box": None, "mask": None})
                of_object["class"] = names[one.label]
                if one.type == AnnotationType.mask:
                    assert of_object["mask"] is None, "two masks of one object"
                    of_object["mask"] = one.image
                elif one.type == AnnotationType.bbox:
                    x, y, width, height = one.get_bbox()
                    of_object["box"] = (x, y, x + width, y + height)
            objects = [thing(one["class"], one["box"], one["mask"]) for one in groups.values()]
            yield Path(item.id).name, item.subset, objects

    return read


def fiftyone_fiftyone(folder: Path) -> Iterator[tuple[str, str, list]]:
    from fiftyone.utils.data.importers import (  # ty: ignore[import-not-found]
        LegacyFiftyOneDatasetImporter,
    )

    with LegacyFiftyOneDatasetImporter(str(folder)) as samples:
        for sample in samples:
            width, height = sample.metadata.width, sample.metadata.height
            objects = []
            for one in sample.ground_truth.detections:
                mask = None
                if one.mask is not None:
                    mask = np.zeros((height, width), bool)
                    x, y, w, h = one.bounding_box
                    x, y = round(x * width), round(y * height)
                    rows, columns = one.mask.shape
                    assert (rows, columns) == (round(h * height), round(w * width))
                    mask[y : y + rows, x : x + columns] = one.mask
                objects.append(thing(one.label, one.label_box, mask))
            yield Path(sample.filepath).stem, sample.tags[0], objects


READERS: dict[tuple[str, str], Callable[[Path], Iterator[tuple[str, str, list]]]] = {
    ("pycocotools", "coco"): pycocotools_coco,
    ("supervision", "coco"): supervision_coco,
    ("supervision", "yolo"): supervision_yolo,
    ("supervision", "voc"): supervision_voc,
    ("ultralytics", "yolo"): ultralytics_yolo,
    ("fiftyone", "fiftyone"): fiftyone_fiftyone,
    **{
        ("datumaro", kind): datumaro_(name)
        for kind, name in {
            "coco": "coco_instances",
            "voc": "voc",
            "cvat": "cvat",
            "datumaro": "datumaro",
            "yolo": "yolo",
        }.items()
    },
}


def read(library: str, kind: str, folder: Path) -> dict:
    found = READERS[library, kind](folder)
    return {stem: {"split": split, "objects": objects} for stem, split, objects in found}


if __name__ == "__main__":
    answer = read(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    Path(sys.argv[4]).write_text(json.dumps(answer), encoding="utf-8")
