from pathlib import Path

import pandas as pd

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import DETECTIONS, read_table, write_table
from gotowce_dagster.review.frames import frames_to_review
from tests.worlds import make_world


def test_hints_name_the_detectors_that_found_an_object(tmp_path: Path) -> None:
    world = make_world(
        tmp_path, {"duel": ["hostile"] * 3}, review={"tasks": {"select": "all", "audit_share": 0.0}}
    )
    path = world.paths.detections("duel")
    rows = read_table(path, DETECTIONS)
    who = {0: ["bracket", "dino", "world"], 10: ["bracket", "world"], 20: ["dino"]}
    votes = [
        [{"detector": name, "class_name": "hostile", "confidence": 0.9, **box} for name in who[index]]
        for index, box in zip(rows["frame_index"], rows[BOX].to_dict("records"), strict=True)
    ]
    write_table(
        rows.assign(votes=pd.Series(votes, rows.index)),
        DETECTIONS,
        path,
        {"unanswered": {20: {"world": "HTTP 500"}}},
    )
    frames = frames_to_review(world.paths, ["duel"], world.params.review.tasks)
    assert {frame.frame_index: list(frame.hints) for frame in frames} == {
        0: [],
        10: ["hostile: bracket and world found it, dino did not"],
        20: ["hostile: dino found it, bracket did not"],
    }
