"""The order in which files of tests start."""

from pathlib import Path

import pytest

from tests.support.order import IMPORTING, LABEL_STUDIO, LONGEST, place, together

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [*LONGEST, *IMPORTING])
def test_it_names_files_that_exist(name: str) -> None:
    assert (TESTS / name).exists()


def test_the_rest_comes_after_them() -> None:
    assert place(TESTS / LONGEST[0], TESTS) == 0
    assert place(TESTS / "detectors" / "local" / "test_yolo.py", TESTS) == len(LONGEST)
    assert place(TESTS / "core" / "test_errors.py", TESTS) == len(LONGEST) + 1
    assert place(Path("/elsewhere/test_it.py"), TESTS) == len(LONGEST) + 1


@pytest.mark.parametrize(
    ("name", "is_fast", "group"),
    [
        ("review/test_loop.py", False, "Label Studio"),
        ("review/test_names.py", True, "Label Studio"),
        ("review/test_names.py", False, ""),
        ("training/test_crops.py", True, "PyTorch"),
        ("training/test_crops.py", False, ""),
        ("core/test_errors.py", True, ""),
    ],
)
def test_files_that_share_a_worker(name: str, is_fast: bool, group: str) -> None:
    assert together(name, is_fast) == group


def test_all_tests_with_label_studio_go_to_one_worker(request: pytest.FixtureRequest) -> None:
    users = {
        item.path.relative_to(TESTS).as_posix()
        for item in request.session.items
        if "label_studio" in getattr(item, "fixturenames", ())
    }
    assert users <= set(LABEL_STUDIO)
