from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake.params_file import set_number
from tests.worlds import ROOT


def test_only_the_number_changes(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    set_number(file, ("finetuned_model", "rounds", "count"), 12)
    old, new = before.splitlines(), file.read_text(encoding="utf-8").splitlines()
    (line,) = (number for number, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)
    assert new[line].startswith("    count: 12 # further rounds")
    set_number(file, ("finetuned_model", "rounds", "count"), 1)
    assert file.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("text", ["a: {}", "a: {b: x}", "b: 1", "a: [1]"])
def test_a_missing_number_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"no number at a\.b"):
        set_number(file, ("a", "b"), 1)
