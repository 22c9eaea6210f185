"""Pascal VOC: Annotations/*.xml, JPEGImages/, ImageSets/ and, for masks, SegmentationClass and -Object/.

Boxes are 1-based with an inclusive end, as in VOC's development kit: x1 + 1 to x2. In SegmentationObject, the
pixels of the n-th object of the XML have the value n; where masks overlap, that of the smaller object.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.interchange.base import About, Format, LabelledObject, Picture

_SHAPES = ("SegmentationClass", "SegmentationObject")
_MOST = 254
"""Maximum number of objects per image; 0 is the background and 255 void."""


def write(folder: Path, pictures: Iterable[Picture], about: About) -> None:
    """Write an XML file per image, two mask images if it has masks, and the lists of the splits.

    Raises:
        InputError: an image has more objects, or the project more classes, than the format can distinguish.
    """
    if len(about.classes) > _MOST:
        raise InputError(f"voc: the format has at most {_MOST} classes, not {len(about.classes)}")
    numbers = {name: number for number, name in enumerate(about.classes, start=1)}
    for name in ("Annotations", *_SHAPES):
        (folder / name).mkdir()
    colours = palette()
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    lines += [f"{name}:{','.join(map(str, colours[number]))}::" for name, number in numbers.items()]
    (folder / "labelmap.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with ExitStack() as stack:
        sets = {}
        for kind in ("Main", "Segmentation"):
            (folder / "ImageSets" / kind).mkdir(parents=True)
            for split in about.splits:
                file = folder / "ImageSets" / kind / f"{split}.txt"
                sets[kind, split] = stack.enter_context(file.open("w", encoding="utf-8"))
        for picture in pictures:
            if len(picture.objects) > _MOST:
                raise InputError(f"{picture.name}: has {len(picture.objects)} objects; voc allows {_MOST}")
            is_segmented = any(thing.rle is not None for thing in picture.objects)
            _xml(picture, is_segmented).write(
                folder / "Annotations" / f"{picture.stem}.xml", encoding="unicode", xml_declaration=False
            )
            sets["Main", picture.split].write(f"{picture.stem}\n")
            if is_segmented:
                sets["Segmentation", picture.split].write(f"{picture.stem}\n")
                for name, values in zip(_SHAPES, _owners(picture, numbers), strict=True):
                    _write_indexed(folder / name / f"{picture.stem}.png", values, colours)


def palette() -> np.ndarray:
    """VOC's palette, uint8 (256, 3): the bits of an index spread over red, green and blue, highest first."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((numbers >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def _owners(picture: Picture, numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Class and object of each pixel, uint8 (H, W) each; 0 is background."""
    of_class, of_object = (np.zeros((picture.height, picture.width), np.uint8) for _ in _SHAPES)
    masks = [(place, thing, picture.mask(thing)) for place, thing in enumerate(picture.objects, start=1)]
    shapes = [(place, thing, mask) for place, thing, mask in masks if mask is not None]
    for place, thing, mask in sorted(shapes, key=lambda shape: -int(shape[2].sum())):
        of_class[mask], of_object[mask] = numbers[thing.class_name], place
    return of_class, of_object


def _write_indexed(path: Path, values: np.ndarray, colours: np.ndarray) -> None:
    image = Image.fromarray(values, mode="P")
    image.putpalette(colours.tobytes())
    image.save(path, format="PNG")


def _xml(picture: Picture, is_segmented: bool) -> ElementTree.ElementTree:
    root = ElementTree.Element("annotation")
    path = Path(picture.file)
    _add(root, "folder", path.parent.name)
    _add(root, "filename", picture.name)
    if path.is_absolute():
        _add(root, "path", picture.file)
    source = _add(root, "source")
    for name, value in picture.notes().items():
        _add(source, name, value)
    size = _add(root, "size")
    for name, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
        _add(size, name, value)
    _add(root, "segmented", int(is_segmented))
    for thing in picture.objects:
        _add_object(root, thing)
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)


def _add_object(root: ElementTree.Element, thing: LabelledObject) -> None:
    node = _add(root, "object")
    _add(node, "name", thing.class_name)
    for name, value in (("pose", "Unspecified"), ("truncated", 0), ("difficult", 0), ("occluded", 0)):
        _add(node, name, value)
    box = _add(node, "bndbox")
    x1, y1, x2, y2 = thing.box
    for name, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
        _add(box, name, value)
    attributes = _add(node, "attributes")
    for name, value in thing.notes().items():
        attribute = _add(attributes, "attribute")
        _add(attribute, "name", name)
        _add(attribute, "value", value)


def _add(parent: ElementTree.Element, name: str, text: object = None) -> ElementTree.Element:
    node = ElementTree.SubElement(parent, name)
    node.text = None if text is None else str(text)
    return node


FORMAT = Format("voc", write, "JPEGImages")
