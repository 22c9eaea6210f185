import pandas as pd
import pytest

from gotowce_dagster.evaluation.summary import _games_missing

ALL = ("train", "val", "test")


@pytest.mark.parametrize(
    ("duel", "race", "expected"),
    [
        (ALL, ALL, []),
        (ALL, ("train", "val"), ["test contains no object of the game race: it cannot be evaluated on it"]),
        (ALL, ("val", "test"), ["train contains no object of the game race: the model cannot learn it"]),
    ],
)
def test_a_game_without_an_object_in_a_split_is_noted(duel: tuple, race: tuple, expected: list[str]) -> None:
    """Though another game has objects of the same class there."""
    rows = [("duel", split, 1) for split in duel] + [("race", split, 2) for split in race]
    rows += [("race", split, 0) for split in ALL] + [("menus", "train", 0)]
    assert _games_missing(pd.DataFrame(rows, columns=["profile", "split", "objects"])) == expected
