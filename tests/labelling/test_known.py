"""Frames with truth that the pipeline did not sample."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.config.params import MasksParams, Params
from gotowce_dagster.core import rle
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import FRAMES, MASKS, empty
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.detected import Detected
from gotowce_dagster.labelling.colour import with_own_colour
from gotowce_dagster.labelling.detect import detect
from gotowce_dagster.labelling.known import Labelled, Wanted, label_frames
from gotowce_dagster.labelling.label import label
from gotowce_dagster.labelling.segment import segment
from gotowce_dagster.propagation.follow import FORWARD
from tests.segmenters.test_frame_by_frame import DOUBTFUL, SHIP, StandIn
from tests.shipped import params

PIPELINE = (0, 1, 3, 4)
MARK = (20.0, 20.0, 60.0, 60.0)

PROFILE = Profile(name="none")


class Marks:
    """Finds one mark in every frame, and refuses some."""

    name, version = "marks", "1"
    weights: tuple[str, ...] = ()

    def __init__(self, refused: Sequence[int] = (), blind: Sequence[int] = ()) -> None:
        self.refused, self.blind, self.cost = refused, blind, Cost()

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        return [self._look(int(image[0, 0, 0])) for image in images]

    def _look(self, frame: int) -> sv.Detections:
        if frame in self.refused:
            return sv.Detections(np.zeros((0, 4)), metadata={"unanswered": "refused"})
        if frame in self.blind:
            return sv.Detections.empty()
        data = {"class_name": np.array(["ship"]), "prompt": np.array(["mark"])}
        return sv.Detections(np.array([MARK]), confidence=np.array([0.9]), data=data)


def images(frames: Collection[int]) -> dict[int, np.ndarray]:
    return {frame: np.full((80, 80, 3), frame, np.uint8) for frame in frames}


def settings(mode: str = "image") -> Params:
    masks = MasksParams.model_validate(params().masks.model_dump() | {"doubt": 0.5, "mode": mode})
    return params().model_copy(update={"masks": masks})


def index(frames: Sequence[int], kept: Sequence[int]) -> pd.DataFrame:
    if not len(frames):
        return empty(FRAMES)
    rows = pd.DataFrame({"frame_index": frames, "time_s": np.array(frames) / 2, "shot": 0})
    rows = rows.assign(sharpness=5.0, phash=None, kept=rows["frame_index"].isin(kept), reason="", file="")
    return rows[FRAMES.names]


def pipeline(
    work: Path, sampled: Sequence[int] = PIPELINE, kept: Sequence[int] = PIPELINE, marks: Marks | None = None
) -> Labelled:
    """What the pipeline makes of some frames."""
    params, frames = settings(), index(sampled, kept)
    detected = detect("a", images(kept).items(), [marks or Marks()], params.designator_detections)
    work.mkdir()
    masks = segment(
        detected.rows,
        frames,
        lambda wanted: iter(images(wanted).items()),
        StandIn,
        params.masks,
        profile=PROFILE,
        work=work,
        progress=silent,
    )
    masks = with_own_colour(masks, detected.rows, PROFILE, lambda wanted: iter(images(wanted).items()))
    return Labelled(frames, detected, masks, label(detected, masks, frames, params.cleaned_labels))


def labelled(
    work: Path, wanted: Sequence[int], made: Labelled, marks: Marks | None = None, mode: str = "image"
) -> tuple[Detected, pd.DataFrame]:
    """The wanted frames as the evaluation labels them."""
    work.mkdir()
    frames = Wanted(
        "a",
        images(wanted),
        {frame: frame / 2 for frame in wanted},
        dict.fromkeys(wanted, 5.0),
    )
    return label_frames(
        frames,
        made,
        settings(mode),
        profile=PROFILE,
        detectors=lambda: [marks or Marks()],
        segmenter=StandIn,
        work=work,
    )


@pytest.mark.slow
@pytest.mark.parametrize("sampled", [PIPELINE, range(5)], ids=["not sampled", "sampled but not kept"])
def test_a_frame_in_doubt_is_settled_as_if_it_were_sampled(tmp_path: Path, sampled: Sequence[int]) -> None:
    made = pipeline(tmp_path / "some", sampled)
    found, labels = labelled(tmp_path / "known", [DOUBTFUL], made)
    assert found.rows["frame_index"].tolist() == [DOUBTFUL]
    assert labels["rle"].tolist() == [rle.encode(SHIP)]
    whole = pipeline(tmp_path / "whole", range(5), range(5)).labels
    expected = whole[whole["frame_index"] == DOUBTFUL].reset_index(drop=True)
    pd.testing.assert_frame_equal(labels.reset_index(drop=True), expected, check_dtype=False)


def test_the_pipelines_own_frames_are_taken_as_they_are(tmp_path: Path) -> None:
    made = pipeline(tmp_path / "some")
    other = made.labels.assign(quality=0.125)

    def never() -> NoReturn:
        pytest.fail("nothing is left to compute")

    made = Labelled(made.frames, made.detected, made.masks, other)
    frames = Wanted("a", images([1, 3]), {1: 0.5, 3: 1.5}, {1: 5.0, 3: 5.0})
    found, labels = label_frames(
        frames,
        made,
        settings(),
        profile=PROFILE,
        detectors=never,
        segmenter=never,
        work=tmp_path / "unused",
    )
    pd.testing.assert_frame_equal(labels, other[other["frame_index"].isin([1, 3])].reset_index(drop=True))
    assert found.rows["frame_index"].tolist() == [1, 3]


def test_frames_without_an_answer_are_named(tmp_path: Path) -> None:
    made = pipeline(tmp_path / "some", marks=Marks(refused=[3]))
    found, labels = labelled(tmp_path / "known", [1, 2, 3, 6], made, Marks(refused=[6]))
    assert {frame: dict(why) for frame, why in found.unanswered.items()} == {
        3: {"marks": "refused"},
        6: {"marks": "refused"},
    }
    assert labels["frame_index"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("marks", "prompt"),
    [(Marks(), "point@2"), (Marks(blind=[2]), FORWARD)],
    ids=["its own mask is as good", "nothing was detected there"],
)
def test_what_was_propagated_into_a_frame_counts(tmp_path: Path, marks: Marks, prompt: str) -> None:
    made = pipeline(tmp_path / "some")
    sure = made.masks.assign(state="sure")
    row = {**sure.iloc[0].to_dict(), "frame_index": 2, "prompt": FORWARD, "state": "sure", "agreement": None}
    masks = pd.concat([sure, pd.DataFrame([row])], ignore_index=True)[MASKS.names]
    before = Labelled(made.frames, made.detected, masks, made.labels)
    found, labels = labelled(tmp_path / "known", [2], before, marks, mode="video")
    assert labels["frame_index"].tolist() == [2]
    assert labels["rle"].tolist() == [rle.encode(SHIP)]
    assert labels["designator_x1"].isna().tolist() == [prompt == FORWARD]
    assert len(found.rows) == (prompt != FORWARD)


def test_a_video_of_which_nothing_was_sampled(tmp_path: Path) -> None:
    none = pipeline(tmp_path / "some", sampled=[], kept=[])
    assert none.masks.columns.tolist() == empty(MASKS).columns.tolist()
    _, labels = labelled(tmp_path / "known", [0, 1], none)
    assert labels["frame_index"].tolist() == [0, 1]
