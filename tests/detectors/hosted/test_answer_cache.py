from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.hosted.answer_cache import (
    AnswerCache,
    default_folder,
    image_hash,
    question_key,
)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers")
    assert cache.get("ab12") is None
    cache.put("ab12", {"text": "ż"})
    cache.put("ab12", {"text": "ź"})
    assert cache.get("ab12") == {"text": "ź"}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ab12.json"]


def test_a_damaged_answer_is_reported(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("ab12", {"text": ""})
    (path,) = tmp_path.rglob("*.json")
    path.write_text('{"te')
    with pytest.raises(InputError, match=r"ab12\.json: damaged; remove it"):
        cache.get("ab12")


def test_it_lies_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "gotowce" / "answers"


def test_keys_differ_by_picture_and_question() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    other = image.copy()
    other[3, 5, 2] = 1
    hashes = {image_hash(one) for one in (image, other, image.reshape(6, 4, 3), image[:, ::-1])}
    assert len(hashes) == 3
    assert image_hash(image) == image_hash(np.asfortranarray(image))
    assert question_key(a=1, b=2) == question_key(b=2, a=1) != question_key(a=1, b=3)
