"""The order in which files of tests start."""

from pathlib import Path

import pytest

from tests.support.order import LABEL_STUDIO, LONGEST, place

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", LONGEST)
def test_it_names_files_that_exist(name: str) -> None:
    assert (TESTS / name).exists()


def test_the_rest_comes_after_them() -> None:
    assert place(TESTS / LONGEST[0], TESTS) == 0
    assert place(TESTS / "core" / "test_errors.py", TESTS) == len(LONGEST)
    assert place(Path("/elsewhere/test_it.py"), TESTS) == len(LONGEST)


def test_all_tests_with_label_studio_go_to_one_worker(request: pytest.FixtureRequest) -> None:
    users = {
        item.path.relative_to(TESTS).as_posix()
        for item in request.session.items
        if "label_studio" in getattr(item, "fixturenames", ())
    }
    assert users <= set(LABEL_STUDIO)
