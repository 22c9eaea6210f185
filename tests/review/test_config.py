from typing import Any

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.review.config import (
    MaskForm,
    classes_of,
    extended,
    labelling_config,
    mask_form,
    offered_classes,
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


def test_verdicts_have_their_keys_and_one_is_asked_for() -> None:
    verdict = interface(labelling_config(["ship"], "bitmask")).get_control("verdict")
    assert verdict.attr["required"] == "true"
    keys = {name: choice.attr["hotkey"] for name, choice in verdict.labels_attrs.items()}
    assert keys == {"accept": "a", "fix": "f", "reject": "r"}


def test_a_class_is_added_to_what_people_made_of_the_page() -> None:
    theirs = labelling_config(["ship", "old"], "bitmask").replace('value="blur"', 'value="too dark"')
    config = extended(theirs, ["ship", 'new "one"'])
    assert classes_of(config) == ["ship", "old", 'new "one"']
    assert 'value="too dark"' in config
    assert interface(config).get_control("mask").labels == ["ship", "old", 'new "one"']


def test_a_page_that_has_all_classes_stays_as_it_is() -> None:
    config = labelling_config(["ship", "old"], "bitmask")
    assert extended(config, ["old"]) is config


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("<View>", "is not XML"),
        ("<View/>", "lacks image, verdict, box or mask"),
        (labelling_config(["s"], "bitmask").replace('name="box"', 'name="boxes"'), "lacks box"),
        (labelling_config(["s"], "bitmask").replace("BitmaskLabels", "BrushLabels"), "lacks mask"),
    ],
    ids=["broken", "empty", "box renamed", "another kind of mask"],
)
def test_a_page_that_we_could_not_read_back_is_refused(config: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        extended(config, ["ship"])


def test_offered_are_the_classes_wanted_or_those_in_use() -> None:
    assert offered_classes([], ["b", "a", "b"]) == ["a", "b"]
    assert offered_classes(["b", "a", "c"], ["a"]) == ["b", "a", "c"]
    with pytest.raises(InputError, match="labels have the class drone"):
        offered_classes(["ship"], ["ship", "drone"])
