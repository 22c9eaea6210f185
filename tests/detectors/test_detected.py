from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import DETECTIONS, read_table
from gotowce_dagster.detectors.detected import Detected, read_detected, write_detected
from tests.core.test_tables import DETECTION

ROWS = pd.DataFrame([DETECTION, DETECTION | {"frame_index": 1000}])
FIRST = int(ROWS["frame_index"].iloc[0])
BILL = {"answers": 12, "invalid": 2, "tokens_in": 3400, "tokens_out": 560, "money": None}


@pytest.mark.parametrize(
    ("unanswered", "short", "bills"),
    [
        pytest.param({}, 0, {}, id="nothing but rows"),
        pytest.param({9: {"eye": "refused"}, 17: {"eye": "HTTP 500"}}, 0, {}, id="frames without an answer"),
        pytest.param({3: {"eye": "refused"}}, 2, {"eye": BILL}, id="all fields"),
    ],
)
def test_what_no_row_can_tell_is_kept_beside_the_rows(
    tmp_path: Path, unanswered: dict, short: int, bills: dict
) -> None:
    path = tmp_path / "rows.parquet"
    write_detected(Detected(ROWS, unanswered, short, bills), path)
    read = read_detected(path)
    assert (read.unanswered, read.short, read.bills) == (unanswered, short, bills)
    pd.testing.assert_frame_equal(read.rows, read_table(path, DETECTIONS))
    assert len(read.rows) == 2


def test_some_frames_of_it() -> None:
    some = Detected(ROWS, {FIRST: {"eye": "refused"}, 99: {"eye": "late"}}, 1, {"eye": BILL}).only({FIRST})
    assert some.rows["frame_index"].tolist() == [FIRST]
    assert some.unanswered == {FIRST: {"eye": "refused"}}
    assert (some.short, some.bills) == (1, {"eye": BILL})


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.parquet: not found"):
        read_detected(tmp_path / "gone.parquet")
