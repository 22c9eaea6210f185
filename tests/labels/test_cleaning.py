from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.config.params import LabelsParams, RuleParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, LABELS, MASKS, read_table, write_table
from gotowce_dagster.core.yaml_files import parse_yaml
from gotowce_dagster.labels.cleaning import NO_MASK, clean, judge
from gotowce_dagster.labels.rules import RULES
from gotowce_dagster.review.choose import choose
from tests.shipped import labels_params, params
from tests.worlds import make_world

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_world(tmp_path_factory.mktemp("world"), {"a": ["hostile"] * 8})


@pytest.fixture
def tables(world: Project) -> Tables:
    paths = world.paths
    return (
        read_table(paths.detections("a"), DETECTIONS),
        read_table(paths.masks("a"), MASKS),
        read_table(paths.frame_index("a"), FRAMES),
    )


def rule(threshold: float, mode: object = "on", fails: str = "review") -> RuleParams:
    return RuleParams.model_validate({"mode": mode, "threshold": threshold, "fails": fails, "why": "because"})


def test_every_detection_has_a_label_that_can_be_written(tables: Tables, tmp_path: Path) -> None:
    detections, masks, frames = tables
    labels = clean(detections, masks.drop(index=[2]), frames, labels_params())
    write_table(labels, LABELS, tmp_path / "labels.parquet")
    read = read_table(tmp_path / "labels.parquet", LABELS)
    assert read["frame_index"].tolist() == detections["frame_index"].tolist()
    assert read["designator_x1"].tolist() == detections["x1"].tolist()
    assert read.loc[0, BOX].tolist() == masks.loc[0, BOX].tolist()
    assert set(dict(read["scores"][0])) == {
        name for name, chosen in labels_params().rules.items() if chosen.mode != "off"
    }


def test_a_detection_without_a_mask_is_rejected_not_dropped(tables: Tables) -> None:
    detections, masks, frames = tables
    label = clean(detections, masks.drop(index=[2]), frames, labels_params()).loc[2]
    assert (label["verdict"], label["reasons"], label["quality"]) == ("reject", [NO_MASK], 0)
    assert label[["x1", "y2"]].tolist() == detections.loc[2, ["x1", "y2"]].tolist()
    assert (label["object_id"], label["height"]) == ("", masks["height"][0])
    assert pd.isna(label["rle"])


def test_objects_that_detectors_disagree_on_go_to_review_first(tables: Tables) -> None:
    detections, masks, frames = tables
    box = detections[[*BOX, "class_name"]].assign(confidence=0.9).to_dict("records")
    votes = [[{"detector": name, **row} for name in ("bracket", "world", "eye")] for row in box]
    votes[5] = votes[5][:1]
    labels = clean(detections.assign(votes=votes), masks, frames, labels_params())
    assert labels["verdict"].tolist() == ["accept"] * 5 + ["review"] + ["accept"] * 2
    assert labels["reasons"][5] == ["votes"]
    judged = clean(
        detections.assign(votes=votes), masks, frames, labels_params(), {50: ["world", "eye"], 10: ["eye"]}
    )
    assert set(judged["verdict"]) == {"accept"}, "who did not answer has missed nothing"
    asked = choose(labels, params().review.tasks.model_copy(update={"doubtful": 1, "audit_share": 0.0}))
    assert asked["frame_index"].tolist() == [50]


@pytest.mark.parametrize("keep", [[], [0]], ids=["no masks at all", "a single frame"])
def test_few_rows_are_enough(tables: Tables, keep: list[int], tmp_path: Path) -> None:
    detections, masks, frames = tables
    labels = clean(detections.loc[[0]], masks.loc[keep], frames.loc[[0]], labels_params())
    write_table(labels, LABELS, tmp_path / "labels.parquet")
    assert labels["verdict"].tolist() == ["accept" if keep else "reject"]


def test_no_detections_no_labels(tables: Tables, tmp_path: Path) -> None:
    detections, masks, frames = tables
    labels = clean(detections.iloc[:0], masks.iloc[:0], frames, labels_params())
    write_table(labels, LABELS, tmp_path / "labels.parquet")
    assert read_table(tmp_path / "labels.parquet", LABELS).empty


@pytest.mark.parametrize(
    ("scores", "verdict", "reasons", "quality"),
    [
        ({"a": 0.9, "b": 0.9, "c": 0.0}, "accept", [], 0.9),
        ({"a": 0.5, "b": 0.7, "c": 1.0}, "accept", [], 0.5),
        ({"a": 0.4, "b": 0.9, "c": 1.0}, "review", ["a"], 0.4),
        ({"a": 0.9, "b": 0.1, "c": 1.0}, "reject", ["b"], 0.1),
        ({"a": 0.3, "b": 0.1, "c": 1.0}, "reject", ["b", "a"], 0.1),
        ({"a": 0.1, "b": 0.3, "c": 1.0}, "reject", ["a", "b"], 0.1),
    ],
    ids=["score-only decides nothing", "at the threshold", "doubtful", "wrong", "worst first", "both fail"],
)
def test_verdicts(scores: dict[str, float], verdict: str, reasons: list[str], quality: float) -> None:
    rules = {"a": rule(0.5), "b": rule(0.6, fails="reject"), "c": rule(0.5, mode="score", fails="reject")}
    judged = judge(pd.DataFrame([scores]), rules).iloc[0]
    assert (judged["verdict"], judged["reasons"], judged["quality"]) == (verdict, reasons, quality)
    assert judged["scores"] == scores


def test_a_rule_that_is_off_is_not_computed(tables: Tables) -> None:
    params = LabelsParams(rules={"confidence": rule(1.0, mode="off"), "size": rule(0.1)})
    labels = clean(*tables, params)
    assert set(labels["scores"][0]) == {"size"}
    assert set(labels["verdict"]) == {"accept"}


def test_an_unknown_rule_is_refused_by_name(tables: Tables) -> None:
    with pytest.raises(InputError, match=r"no rule named beauty; known: confidence, agreement"):
        clean(*tables, LabelsParams(rules={"beauty": rule(0.5)}))


def test_bare_yaml_words_are_modes() -> None:
    for mode in ("on", "off"):
        assert rule(0.5, mode=parse_yaml(f"mode: {mode}", "params.yaml")["mode"]).mode == mode


def test_params_have_a_message_for_every_rule() -> None:
    assert set(labels_params().rules) == set(RULES)


def test_a_propagated_object_is_judged_without_a_designator(tables: Tables, tmp_path: Path) -> None:
    detections, masks, frames = tables
    number = len(detections) - 1
    last = detections["frame_index"].max()
    propagated = masks.iloc[[number, number, number]].assign(
        detection_id=[7, 8, 9], state=["sure", "doubtful", "lost"], fill=float("nan"), inside=float("nan")
    )
    propagated.loc[propagated["state"] == "lost", ["rle", *BOX]] = None
    labels = clean(
        detections[detections["frame_index"] < last],
        pd.concat([masks[masks["frame_index"] < last], propagated]),
        frames,
        labels_params(),
    )
    write_table(labels, LABELS, tmp_path / "labels.parquet")
    new = labels[labels["frame_index"] == last].set_index("detection_id")
    assert list(new.index) == [7, 8]  # a lost object has no label
    assert new["designator_x1"].isna().all()
    assert new["confidence"].isna().all()
    assert set(new["class_name"]) == {"hostile"}
    assert new["verdict"][7] == "accept"
    assert "followed" in new["reasons"][8]


def test_a_frame_that_was_not_kept_gets_no_propagated_label(tables: Tables) -> None:
    detections, masks, frames = tables
    between = masks.iloc[[0]].assign(frame_index=masks["frame_index"][0] + 1, detection_id=0, state="sure")
    labels = clean(detections, pd.concat([masks, between]), frames, labels_params())
    assert labels["frame_index"].tolist() == detections["frame_index"].tolist()
