"""What is measured, and under which terms."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import pandas as pd

from gotowce_dagster.evaluation.scoring import Case, scores, worst


@dataclass(frozen=True)
class Measure:
    """One thing that is measured."""

    title: str
    says: str
    of_model: bool = False
    """The model's boxes: only those above a confidence count, but for mAP."""
    by_class: bool = False
    lacking: str = ""
    """ReviewedFrames when there is nothing to measure it on."""
    truth: str = "data/truth"
    """The ground truth of frames that no human has reviewed."""


_NO_MARKS = "no video has boxes checked by hand (data/truth/VIDEO.csv)"
_NO_TRUTH = f"{_NO_MARKS} and no frame was reviewed (gotowce review)"
REVIEWS = "reviews"

MEASURES = {
    "designators": Measure(
        "Designators against truth",
        "Boxes of the detectors against boxes checked by hand. Partly hidden marks count neither way.",
        lacking=_NO_MARKS,
    ),
    "targets": Measure(
        "Accepted labels against truth",
        "Boxes around the masks that cleaning accepted, against objects checked by hand or left by "
        "reviewers. A target whose label was not accepted lowers recall, a wrong box that was accepted "
        "lowers precision. Reviewers saw these boxes before they judged, and the doubtful ones first: only "
        "the audit sample tells how often labels are wrong.",
        lacking=_NO_TRUTH,
    ),
    "model_test": Measure(
        "The model on the test split",
        "Boxes of the fine-tuned model against the labels of frames it never saw. Where no human reviewed "
        "them they are the pipeline's own: they say whether the model learned what it was taught.",
        of_model=True,
        truth="accepted labels",
        by_class=True,
        lacking="the dataset has no test split",
    ),
    "model_truth": Measure(
        "The model against truth",
        "Boxes of the model against objects checked by hand or left by reviewers, wherever there are some: "
        "part of these frames lie in stretches of video that it was trained on.",
        of_model=True,
        lacking=_NO_TRUTH,
    ),
    "model_truth_apart": Measure(
        "The model against truth, apart from its training",
        "The same, in those frames alone that lie in no training stretch of their video nor within the gap.",
        of_model=True,
        lacking="every frame with checked objects lies in a training stretch or too near to one",
    ),
}


@dataclass(frozen=True)
class Findings:
    """All that was found, ready to be scored and shown."""

    cases: Mapping[str, Sequence[Case]]
    """By the name of the measure."""
    labels: pd.DataFrame
    """Rows of tables.LABELS of the frames with truth."""
    notes: Sequence[str] = ()
    recalls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What recalls.figures says of ``all`` frames, of those ``apart`` from training, and of each profile."""
    recalls_of: str = ""
    """What the truth of the recalls is."""
    reviewed: Mapping[str, Set[tuple[str, int]]] = field(default_factory=dict)
    """By the name of the measure, the (video, frame_index) whose truth is what a reviewer left."""

    def truth(self, name: str) -> dict[str, int]:
        """How many frames of a measure each kind of truth gave; reviewers go before all others."""
        reviewed = self.reviewed.get(name, frozenset())
        count = sum((case.video, case.frame_index) in reviewed for case in self.cases[name])
        told = {REVIEWS: count, MEASURES[name].truth: len(self.cases[name]) - count}
        return {source: frames for source, frames in told.items() if frames}

    def missing(self) -> list[str]:
        """What could not be measured, in sentences."""
        return [f"{m.title}: not measured, {m.lacking}" for n, m in MEASURES.items() if not self.cases[n]]

    def scored(self, name: str, confidence: float) -> dict[str, dict[str, float]]:
        """Scores of one measure: ``all`` first, then of each video; empty if it could not be measured."""
        cases = self.cases[name]
        groups = {"all": cases} if cases else {}
        for video in sorted({case.video for case in cases}):
            groups[video] = [case for case in cases if case.video == video]
        measure = MEASURES[name]
        least = confidence if measure.of_model else 0.0
        return {
            group: scores(some, confidence=least, by_class=measure.by_class) for group, some in groups.items()
        }

    def worst(self, name: str, confidence: float) -> list[Case]:
        """The cases of one measure with something wrong, worst first, without the boxes that do not count."""
        measure = MEASURES[name]
        least = confidence if measure.of_model else 0.0
        return worst(self.cases[name], confidence=least, by_class=measure.by_class)
