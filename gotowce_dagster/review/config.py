"""Label Studio's labelling configuration: the page that reviewers see."""

from collections.abc import Iterable, Sequence
from typing import Literal
from xml.etree import ElementTree

from gotowce_dagster.core.errors import InputError

MaskForm = Literal["bitmask", "polygon"]

VERDICTS = {"accept": "a", "fix": "f", "reject": "r"}
"""The verdicts, one of which a frame needs, and their hotkeys."""
QUALITY = ("blur", "occluded", "missing object", "wrong class", "bad mask")

# Safe for red-green colour blindness (Okabe and Ito), and bright enough on dark games.
_COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#009E73", "#D55E00", "#0072B2")
# The toolbar appears after the image was fitted and takes 42 pixels: the image would be zoomed and cropped.
_TOOLS_BESIDE = ".lsf-toolbar { margin-right: -42px; }"
_SMALL = "font-size:14px;margin:0"
_CLICK = "click"
_MASKS = {"bitmask": "BitmaskLabels", "polygon": "PolygonLabels"}


def labelling_config(classes: Iterable[str], masks: MaskForm) -> str:
    """Build the page for these classes: verdict, quality, image, boxes, masks, reasons and neighbours."""
    view = ElementTree.Element("View", style="display:flex;gap:16px")
    _add(view, "Style").text = _TOOLS_BESIDE
    picture = _add(view, "View", style="flex:1;min-width:0;padding-right:44px;box-sizing:border-box")
    verdict = _add(
        picture,
        "Choices",
        name="verdict",
        toName="image",
        choice="single",
        showInline="true",
        required="true",
        requiredMessage=f"Choose {_enumerate(tuple(VERDICTS))} first",
    )
    for value, key in VERDICTS.items():
        _add(verdict, "Choice", value=value, hotkey=key)
    _add(
        picture,
        "Image",
        name="image",
        value="$image",
        zoom="true",
        zoomControl="true",
        rotateControl="false",
        smoothing="false",
        maxWidth="100%",
    )
    kinds = _add(picture, "View", style="display:flex;gap:24px;align-items:center")
    _add(kinds, "Header", value="Box", style=_SMALL)
    boxes = _add(
        kinds,
        "RectangleLabels",
        name="box",
        toName="image",
        strokeWidth="2",
        opacity="0.05",
        canRotate="false",
    )
    _add(kinds, "Header", value="Mask", style=_SMALL)
    outlines = _add(kinds, _MASKS[masks], name="mask", toName="image", opacity="0.5")
    for control in (boxes, outlines):
        _add_classes(control, classes)
    _add(picture, "Header", value="What is wrong, if you like to say", style=_SMALL)
    quality = _add(picture, "Choices", name="quality", toName="image", choice="multiple", showInline="true")
    for value in QUALITY:
        _add(quality, "Choice", value=value)
    side = _add(view, "View", style="width:320px;flex:none")
    _add(side, "HyperText", name="context", value="$context", inline="true")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def classes_of(config: str) -> list[str]:
    """The classes a configuration offers for boxes, in its order.

    Raises:
        InputError: The configuration lacks a control that we read, or is not XML.
    """
    return [str(label.get("value")) for label in _controls(config)[1]["box"].findall("Label")]


def mask_form(config: str) -> MaskForm:
    """The form of masks in a configuration."""
    return "polygon" if _controls(config)[1]["mask"].tag == "PolygonLabels" else "bitmask"


def with_classes(config: str, classes: Iterable[str]) -> str:
    """Add missing classes to a project's configuration, which people may have edited.

    No class is removed: Label Studio would allow it even where annotations use the class, and those would
    become unreadable.

    Raises:
        InputError: The configuration lacks a control that we read, or is not XML.
    """
    view, controls = _controls(config)
    offered = classes_of(config)
    new = [name for name in classes if name not in offered]
    if not new:
        return config
    for name in ("box", "mask"):
        _add_classes(controls[name], new, len(offered))
    return ElementTree.tostring(view, encoding="unicode")


def with_smart_tools(config: str) -> str:
    """Add the tools of review/assist_server.py to a configuration: clicks for each class, and smart boxes.

    Raises:
        InputError: The configuration lacks a control that we read, or is not XML.
    """
    view, controls = _controls(without_smart_tools(config))
    controls["box"].set("smart", "true")
    # Otherwise the page offers smart brush strokes, which the backend does not support.
    controls["mask"].set("smart", "false")
    beside = _parent(view, controls["mask"])
    tools = _add(beside, "View", style="display:flex;gap:24px;align-items:center")
    _add(tools, "Header", value="Click (Alt: not this)", style=_SMALL)
    clicks = _add(tools, "KeyPointLabels", name=_CLICK, toName="image", smart="true", smartOnly="true")
    _add_classes(clicks, classes_of(config))
    return ElementTree.tostring(view, encoding="unicode")


def without_smart_tools(config: str) -> str:
    """Remove from a configuration what with_smart_tools adds.

    Raises:
        InputError: The configuration lacks a control that we read, or is not XML.
    """
    view, controls = _controls(config)
    for name in ("box", "mask"):
        controls[name].attrib.pop("smart", None)
    if _CLICK in controls:
        tools = _parent(view, controls[_CLICK])
        _parent(view, tools).remove(tools)
    return ElementTree.tostring(view, encoding="unicode")


def offered_classes(wanted: Sequence[str], in_use: Iterable[str]) -> list[str]:
    """The classes that reviewers may choose: those in ``wanted``, or if it is empty those in use.

    Raises:
        InputError: A class in use is missing from ``wanted``.
    """
    used = sorted(set(in_use))
    if wanted and (left_out := [name for name in used if name not in wanted]):
        raise InputError(
            f"params.yaml: review.tasks.classes: labels have the class {_enumerate(left_out)}; add it, or "
            f"leave the list empty to offer the classes of the labels"
        )
    return list(wanted) or used


def colour(number: int) -> str:
    """The colour of a class, by its number from 0."""
    return _COLOURS[number % len(_COLOURS)]


def _controls(config: str) -> tuple[ElementTree.Element, dict[str, ElementTree.Element]]:
    try:
        view = ElementTree.fromstring(config)  # noqa: S314 - from our own server
    except ElementTree.ParseError as error:
        raise InputError(f"the labelling configuration in Label Studio is not XML: {error}") from None
    controls = {name: element for element in view.iter() if (name := element.get("name"))}
    kinds = {
        "image": {"Image"},
        "verdict": {"Choices"},
        "box": {"RectangleLabels"},
        "mask": set(_MASKS.values()),
    }
    wrong = [name for name, tags in kinds.items() if name not in controls or controls[name].tag not in tags]
    if wrong:
        raise InputError(
            f"the labelling configuration in Label Studio was changed: it lacks {_enumerate(wrong)}; restore "
            f"it under Settings, Labeling Interface, or start over with another review.tasks.project"
        )
    return view, controls


def _parent(view: ElementTree.Element, child: ElementTree.Element) -> ElementTree.Element:
    return next(element for element in view.iter() if child in element)


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _add_classes(control: ElementTree.Element, classes: Iterable[str], first: int = 0) -> None:
    for number, name in enumerate(classes, start=first):
        _add(control, "Label", value=name, background=colour(number))


def _enumerate(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
