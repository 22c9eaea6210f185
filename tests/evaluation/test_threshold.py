"""The model's own threshold is chosen near training data, never on frames outside it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.config.training_params import EvaluationParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.evaluation.measures import Findings
from gotowce_dagster.evaluation.recalls import Seen
from gotowce_dagster.evaluation.report import _without_marks
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.evaluation.threshold import Threshold, own_threshold, threshold_in

PARAMS = EvaluationParams(
    confidence=0.25, least_precision=0.8, max_truth_frames=9, videos_shown=1, worst_shown=1, pictures_mb=1.0
)
MODEL = "a" * 64


def _frame(right: list[float], wrong: list[float], profile: str = "game", ignored: bool = False) -> Seen:
    """A complete frame with a target for each right box; wrong ones are elsewhere, or ignored."""
    place = 20.0 * np.arange(len(right) + len(wrong))
    boxes = np.column_stack([place, np.zeros(len(place)), place + 10, np.full(len(place), 10.0)])
    case = Case(
        "v",
        0,
        sv.Detections(boxes, confidence=np.array([*right, *wrong])),
        sv.Detections(boxes[: len(right)]),
        boxes[len(right) :] if ignored else np.zeros((0, 4)),
    )
    return Seen(profile, complete=case, is_marked=np.zeros(len(right), bool))


SURE = [0.9] * 8


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        ([_frame(SURE, [])], 0.25),
        ([_frame(SURE, [0.6, 0.6, 0.6, 0.4])], 0.61),
        ([_frame(SURE, [0.4, 0.3, 0.3])], 0.31),
        ([_frame(SURE, [0.6, 0.6, 0.6], ignored=True)], 0.25),
        ([_frame(SURE, []), _frame(SURE, [0.6, 0.6, 0.6], "other")], 0.61),
        ([_frame(SURE, []), _frame([], SURE, "other")], 0.25),
        ([_frame([0.9] * 4 + [0.1] * 9, [0.6] * 3)], 0.61),
        (
            [_frame([0.5] * 9 + [0.98] * 4, [0.95] * 2), _frame([0.97] * 8, [0.6] * 3, "other")],
            0.96,
        ),
        ([_frame([0.5] * 8, []), _frame(SURE, [0.6] * 3, "other")], 0.25),
        (
            [
                _frame([0.2] * 10 + [0.6] * 14 + [0.97], [0.7] * 5),
                _frame([0.98] * 20, [], "other"),
            ],
            0.25,
        ),
        ([_frame(SURE[:2], [0.3])], None),
        ([Seen("game")], None),
        ([], None),
    ],
    ids=[
        "all right", "sure and wrong", "two wrong of ten are allowed", "ignored regions", "the harder game",
        "a game that never reaches it", "right below the least confidence alone",
        "in one game precision falls again", "no box is left in the easier game", "one box is left",
        "too few boxes", "no complete frame", "no frame",
    ],
)  # fmt: skip
def test_the_threshold_is_where_enough_boxes_are_right(near: list[Seen], expected: float | None) -> None:
    chosen = own_threshold(near, [], PARAMS, MODEL)
    assert (chosen and chosen.confidence) == (expected and pytest.approx(expected))


def test_frames_outside_training_data_do_not_choose_but_are_scored() -> None:
    near, apart = _frame(SURE, [0.6, 0.6, 0.6]), _frame(SURE, [0.7] * 8)
    chosen = own_threshold([near, apart], [apart], PARAMS, MODEL)
    assert chosen is not None
    assert chosen.confidence == pytest.approx(0.61)
    assert chosen.recalls["apart"]["precision"] == 0.5
    assert chosen.recalls["all"]["unmarked_recall"] == 1
    assert own_threshold([apart], [apart], PARAMS, MODEL) is None


def test_a_threshold_is_read_for_its_own_model_only(tmp_path: Path) -> None:
    assert threshold_in(tmp_path, MODEL) is None
    (tmp_path / "metrics.json").write_text(json.dumps({"threshold": Threshold(0.4, MODEL).as_json()}))
    assert threshold_in(tmp_path, MODEL) == 0.4
    assert threshold_in(tmp_path, "b" * 64) is None
    (tmp_path / "metrics.json").write_text(json.dumps({"recalls": {}}))
    assert threshold_in(tmp_path, MODEL) is None


@pytest.mark.parametrize("content", ["[]", '{"threshold": {"model": "1"}}', '{"threshold": 3}'])
def test_a_damaged_threshold_is_no_threshold(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(InputError, match="run the stage evaluation again"):
        threshold_in(tmp_path, "1")


def test_what_each_game_needs_is_kept_and_reported() -> None:
    hard = _frame(SURE, [0.6, 0.6, 0.6], "hard")
    chosen = own_threshold([_frame(SURE, []), hard, hard, _frame([], SURE, "lost")], [], PARAMS, MODEL)
    assert chosen is not None
    assert chosen.confidence == pytest.approx(0.61)
    needed = {game.profile: (game.frames, game.confidence) for game in chosen.games}
    assert needed == {"game": (1, 0.01), "hard": (2, pytest.approx(0.61)), "lost": (1, None)}
    written = json.loads(json.dumps(chosen.as_json()))
    assert [game["profile"] for game in written["games"]] == ["game", "hard", "lost"]
    *_, table = _without_marks(
        Findings({}, pd.DataFrame(), recalls=chosen.recalls, threshold=chosen), PARAMS
    ).tables
    assert [[*row[:2], row[3]] for row in table.rows] == [
        ["game", 1, "yes"],
        ["hard", 2, "yes"],
        ["lost", 1, "no"],
    ]
    assert "no say" in str(table.rows[2][2])


def test_the_report_says_why_there_is_no_threshold() -> None:
    recalls = {"all": {"complete_frames": 1, "precision": 0.5}}
    (note,) = _without_marks(Findings({}, pd.DataFrame(), recalls=recalls), PARAMS).notes
    assert "no threshold of its own: on complete frames near training data, 80%" in note
    (unmeasured,) = _without_marks(Findings({}, pd.DataFrame(), recalls={"all": {}}), PARAMS).notes
    assert "gotowce mark" in unmeasured


def test_the_report_shows_both_confidences() -> None:
    recalls = {"all": {"complete_frames": 1, "precision": 0.5}}
    own = Threshold(0.4, MODEL, {"all": {"complete_frames": 1, "precision": 0.9}})
    section = _without_marks(Findings({}, pd.DataFrame(), recalls=recalls, threshold=own), PARAMS)
    rows = [dict(zip(table.headings, table.rows[0], strict=True)) for table in section.tables]
    assert [row["precision"] for row in rows] == [0.5, 0.9]
    assert ["0.25" in table.caption for table in section.tables] == [True, False]
    assert "0.40" in section.tables[1].caption
    assert len(_without_marks(Findings({}, pd.DataFrame(), recalls=recalls), PARAMS).tables) == 1
    same = Findings({}, pd.DataFrame(), recalls=recalls, threshold=Threshold(0.25, MODEL, recalls))
    section = _without_marks(same, PARAMS)
    assert len(section.tables) == 1
    assert "at least 0.25, also the model's own threshold" in section.tables[0].caption


def test_the_figures_that_matter_come_first_and_those_of_small_targets_apart() -> None:
    figures = {"marked_targets": 3, "marked_recall": 0.5, "erased_recall": 0.4, "small_marked_recall": 0.1}
    figures |= {"complete_frames": 2, "unmarked_recall": 0.3, "precision": 0.9, "AP50": 0.6}
    recalls = {"all": figures, "game": {"precision": 0.8}}
    whole, small = _without_marks(Findings({}, pd.DataFrame(), recalls=recalls), PARAMS).tables
    assert list(whole.headings[1:6]) == [
        "erased recall", "unmarked recall", "marked recall", "precision", "AP50",
    ]  # fmt: skip
    assert [row[0] for row in whole.rows] == ["all frames", "game"]
    assert (list(small.headings), small.rows) == (["", "marked recall"], [["all frames", 0.1]])
    assert "below 12 pixels" in small.caption
