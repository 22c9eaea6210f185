"""The order in which files of tests start."""

from pathlib import Path

import pytest

from tests.support.order import LONGEST, place

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", LONGEST)
def test_it_names_files_that_exist(name: str) -> None:
    assert (TESTS / name).exists()


def test_the_rest_comes_after_them() -> None:
    assert place(TESTS / LONGEST[0], TESTS) == 0
    assert place(TESTS / "core" / "test_errors.py", TESTS) == len(LONGEST)
    assert place(Path("/elsewhere/test_it.py"), TESTS) == len(LONGEST)
