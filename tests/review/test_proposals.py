"""What a model proposes is asked about; what reviewers say of it is learned from."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.core.truth import read_complete_truth
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.followed import KeyFrame, Track, TrackedVideo, TrackReview, write_tracked
from gotowce_dagster.labels.in_force import reviews_in_force
from gotowce_dagster.labels.reviews import FIRST_PROPOSAL, ReviewedVideo, frame_hash, write_reviewed
from gotowce_dagster.review.complete_truth import save_complete_truth
from gotowce_dagster.review.frames import frames_to_review
from gotowce_dagster.review.proposals import ranking_of, read_questions, rows_of
from gotowce_dagster.review.tasks import FrameToReview, prediction, read_task, task_data
from gotowce_dagster.stages import yolo_dataset
from gotowce_dagster.training.crops import write_crops
from gotowce_dagster.training.proposals import PROPOSED_COLUMNS
from gotowce_dagster.training.rounds import refused_proposals
from tests.review.frames import AT, change, review, reviewed, thing
from tests.shipped import params
from tests.worlds import HEIGHT, WIDTH, box_at, make_world

PARAMS = params().finetuned_model.rounds
TARGET, NEBULA = (100.0, 60, 120, 76), (10.0, 70, 24, 84)


def write_proposals(world: Project, *frames: tuple[str, int, tuple[float, ...], str, int]) -> None:
    """Write data/model/proposed.csv: video, frame_index, box, use and held of each, by the first round."""
    world.paths.model.mkdir(exist_ok=True)
    proposed = [
        (1, video, index, 0, *box, 0.4, use, f"{video}/0/{n}", held)
        for n, (video, index, box, use, held) in enumerate(frames)
    ]
    pd.DataFrame(proposed, columns=["round", *PROPOSED_COLUMNS]).to_csv(
        world.paths.model / "proposed.csv", index=False
    )


@pytest.fixture
def world(tmp_path: Path) -> Project:
    made = make_world(
        tmp_path,
        {"a": ["hostile"] * 30},
        review={"tasks": {"select": "doubtful", "doubtful": 100, "audit_share": 0.0}},
    )
    yolo_dataset.run(made, silent)
    return made


def _train_frame(world: Project) -> int:
    rows = read_table(world.paths.dataset / "provenance.parquet", PROVENANCE)
    return int(rows.loc[rows["split"] == "train", "frame_index"].iloc[4])


def _asked(world: Project, **tasks: object) -> list[FrameToReview]:
    questions = read_questions(world.paths, ["a"], PARAMS)
    params = world.params.review.tasks.model_copy(update=tasks)
    return frames_to_review(world.paths, ["a"], params, ranking_of(questions), rows_of(questions))


def test_proposals_are_shown_with_their_origin_and_first(world: Project) -> None:
    index = _train_frame(world)
    write_proposals(
        world,
        ("a", index, TARGET, "painted over", 3),
        ("a", index, NEBULA, "painted over", 2),
        ("a", index + 10, NEBULA, "adopted", 1),
        ("a", index + 20, NEBULA, "background", 9),
    )
    first, second, *others = _asked(world)
    assert {first.frame_index, second.frame_index} == {index, index + 10}
    frame = first if first.frame_index == index else second
    # What was not sure and did not hold over time is no question.
    assert [label["detection_id"] for label in frame.labels] == [0, FIRST_PROPOSAL]
    regions = prediction(frame, world.params.review.tasks)["result"]
    assert [region["id"] for region in regions] == ["box-0", "mask-0", f"box-{FIRST_PROPOSAL}"]
    context = task_data(frame, world.params.review.tasks, {})["context"]
    assert "proposed at 0.40 by the model of round 0, in 3 frames, not taken" in context
    assert all(len(other.labels) == 1 for other in others)


def test_the_audit_sample_is_shown_without(world: Project) -> None:
    index = _train_frame(world)
    write_proposals(world, ("a", index, TARGET, "adopted", 3))
    (frame,) = (frame for frame in _asked(world, audit_share=1.0) if frame.frame_index == index)
    assert (frame.sample, len(frame.labels)) == ("audit", 1)


def test_without_rounds_there_is_nothing_to_ask(world: Project) -> None:
    with pytest.raises(InputError, match="run `gotowce rounds 1`"):
        read_questions(world.paths, ["a"], PARAMS)


def test_verdicts_are_taught_in_the_next_round(world: Project) -> None:
    index = _train_frame(world)
    write_proposals(world, ("a", index, TARGET, "painted over", 3), ("a", index, NEBULA, "adopted", 1))
    (frame,) = (frame for frame in _asked(world) if frame.frame_index == index)
    params = world.params.review.tasks
    predicted = prediction(frame, params)
    kept = [region for region in predicted["result"] if region["id"] != f"box-{FIRST_PROPOSAL + 1}"]
    verdict = {"from_name": "verdict", "type": "choices", "value": {"choices": ["accept"]}}
    annotation = {
        "id": 1, "created_at": AT, "updated_at": AT, "completed_by": 3, "was_cancelled": False,
        "parent_prediction": 9, "result": [*kept, verdict],
    }  # fmt: skip
    task = {
        "id": 5, "project": 2, "created_at": AT, "data": task_data(frame, params, {}),
        "predictions": [{"id": 9, **predicted}], "annotations": [annotation],
    }  # fmt: skip
    seen = read_task(task)
    assert seen is not None
    assert not seen.problems
    (review,) = seen.frame.reviews
    (rejected,) = review.rejected
    assert np.allclose(rejected.box or (), NEBULA)
    write_reviewed(world.paths.reviewed("a"), ReviewedVideo(video="a", frames=(seen.frame,)))

    yolo_dataset.run(world, silent)
    folder = world.paths.dataset
    rows = read_table(folder / "provenance.parquet", PROVENANCE)
    (row,) = rows[(rows["frame_index"] == index) & (rows["kind"] == "as-is")].to_dict("records")
    assert (row["origin"], list(row["detection_ids"])) == ("reviewed with proposals", [0, FIRST_PROPOSAL])
    assert read_objects(folder, row["image"])[1].xyxy[1] == pytest.approx(TARGET, abs=1e-3)
    background = pd.read_csv(folder / "rejected.csv")
    assert background[["split", "video", "frame_index"]].values.tolist() == [[row["split"], "a", index]]

    refused = refused_proposals(folder)
    assert row["split"] == "train"
    assert refused["a", index].still == pytest.approx(np.array([NEBULA]))
    params = CropParams.model_validate(
        {
            "px": 64, "count": 60, "per_frame": 60, "foreign": 0, "stretch": 1,
            "erased": 0.0, "away": 1.0, "standouts": 0, "pasted": [0, 0],
            "paste_scale": [1.0, 1.0], "turn_deg": 0, "recolour": 0, "marked": 0, "brightness": 0,
        }
    )  # fmt: skip
    crops = write_crops(folder, rows, world.paths.root / "crops", params, seed=1, proposals=refused)
    crops = crops[(crops["frame_index"] == index) & (crops["split"] == "train")]
    assert len(crops)
    assert ((crops["x"] <= NEBULA[0]) & (crops["y"] + 64 >= NEBULA[3])).all(), "every one shows the mistake"
    # It is not asked again.
    assert read_questions(world.paths, ["a"], PARAMS).empty


def test_reviewed_frames_become_complete_truth(world: Project) -> None:
    """Marked and unmarked targets, a similar object, an unsure one, and a frame without any."""
    index = _train_frame(world)
    marked = box_at(index // 10).tolist()
    things = (
        thing(*marked, name="hostile", label=0),
        thing(*TARGET, name="hostile", mask=False),
        thing(*NEBULA, name="other", mask=False),
        thing(130, 4, 140, 12, name="unsure", mask=False),
    )
    frames = []
    for number, objects in ((index, things), (index + 10, ())):
        left = review(verdict="fix", objects=objects, changes=(change(),))
        digest = frame_hash(world.paths.frames("a") / f"{number:06d}.jpg")
        size = {"width": WIDTH, "height": HEIGHT}
        frames.append(reviewed(left, index=number).model_copy(update={"frame_hash": digest, **size}))
    write_reviewed(world.paths.reviewed("a"), ReviewedVideo(video="a", frames=tuple(frames)))
    file = world.paths.complete_truth("a")
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        "clip,frame_index,x1,y1,x2,y2,label,marked\n"
        f"a.mp4,0,1,1,9,9,hostile,no\na.mp4,{index},1,1,9,9,hostile,no\n"
    )
    assert save_complete_truth(world, "a") == 2
    rows = read_complete_truth(file)
    assert rows[["frame_index", "label", "marked"]].to_numpy().tolist() == [
        [0, "hostile", "no"],
        [index, "hostile", "yes"],
        [index, "hostile", "no"],
        [index, "other", "no"],
        [index, "unsure", "no"],
        [index + 10, "none", "no"],
    ]
    assert save_complete_truth(world, "a") == 2
    assert read_complete_truth(file).equals(rows)
    track = Track(
        object_id="0/1", class_name="hostile", key_frames=(KeyFrame(frame_index=0, box=(1, 1, 9, 9)),)
    )
    followed = TrackReview(
        review_id="r", task="t", annotator=1, at=datetime.now(UTC), state="done", tracks=(track,)
    )
    tracks = TrackedVideo(video="a", frames=999, width=WIDTH, height=HEIGHT, fps=10, reviews=(followed,))
    write_tracked(world.paths.reviewed_tracks("a"), tracks)
    assert len(reviews_in_force(world, "a")) > 2, "a timeline is a review of every sampled frame"
    assert save_complete_truth(world, "a") == 2, "but shows only what is followed"
    assert read_complete_truth(file).equals(rows)

    yolo_dataset.run(world, silent)
    kept = read_table(world.paths.dataset / "provenance.parquet", PROVENANCE)
    (row,) = kept[(kept["frame_index"] == index) & (kept["kind"] == "as-is")].to_dict("records")
    assert row["objects"] == 2, "neither other nor unsure is a target"
    assert row["split"] == "train"
    refused = refused_proposals(world.paths.dataset)["a", index]
    assert refused.still == pytest.approx(np.array([NEBULA]))
    assert refused.doubtful == pytest.approx(np.array([[130, 4, 140, 12]]))
