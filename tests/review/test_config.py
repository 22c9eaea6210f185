from typing import Any

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.review.config import (
    MaskForm,
    classes_of,
    labelling_config,
    mask_form,
    offered_classes,
    with_classes,
)


def interface(config: str) -> Any:
    from label_studio_sdk.label_interface import LabelInterface

    return LabelInterface(config)


CLASSES = ["ship", 'a "b" & <c>', "łódź 船"]


@pytest.mark.parametrize("masks", ["bitmask", "polygon"])
def test_classes_survive_xml_and_label_studio_can_read_it(masks: MaskForm) -> None:
    config = labelling_config(CLASSES, masks)
    interface(config).validate()
    assert classes_of(config) == CLASSES
    assert mask_form(config) == masks


def test_verdicts_have_hotkeys_and_one_is_required() -> None:
    verdict = interface(labelling_config(["ship"], "bitmask")).get_control("verdict")
    assert verdict.attr["required"] == "true"
    keys = {name: choice.attr["hotkey"] for name, choice in verdict.labels_attrs.items()}
    assert keys == {"accept": "a", "fix": "f", "reject": "r"}


def test_classes_are_added_to_an_edited_page() -> None:
    theirs = labelling_config(["ship", "old"], "bitmask").replace('value="blur"', 'value="too dark"')
    config = with_classes(theirs, ["ship", 'new "one"'])
    assert classes_of(config) == ["ship", "old", 'new "one"']
    assert 'value="too dark"' in config
    assert interface(config).get_control("mask").labels == ["ship", "old", 'new "one"']


def test_a_page_with_all_classes_is_unchanged() -> None:
    config = labelling_config(["ship", "old"], "bitmask")
    assert with_classes(config, ["old"]) is config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("<View>", "is not XML"),
        ("<View/>", "lacks image, verdict, box or mask"),
        (labelling_config(["s"], "bitmask").replace('name="box"', 'name="boxes"'), "lacks box"),
        (labelling_config(["s"], "bitmask").replace("BitmaskLabels", "BrushLabels"), "lacks mask"),
    ],
    ids=["broken", "empty", "box renamed", "another kind of mask"],
)
def test_an_unreadable_page_is_refused(config: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_classes(config, ["ship"])


def test_offered_classes_are_those_wanted_or_in_use() -> None:
    assert offered_classes([], ["b", "a", "b"]) == ["a", "b"]
    assert offered_classes(["b", "a", "c"], ["a"]) == ["b", "a", "c"]
    with pytest.raises(InputError, match="labels have the class drone"):
        offered_classes(["ship"], ["ship", "drone"])
