"""The measures of the evaluation, and their results."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import pandas as pd

from gotowce_dagster.evaluation.scoring import Case, scores, worst
from gotowce_dagster.evaluation.threshold import Threshold


@dataclass(frozen=True)
class Measure:
    """One comparison of predictions with ground truth."""

    title: str
    description: str
    of_model: bool = False
    """Predictions of the model: those below a confidence threshold count for mAP only."""
    by_class: bool = False
    lacking: str = ""
    """Why it cannot be measured if it has no cases."""
    truth: str = "data/truth"
    """Source of the ground truth of unreviewed frames."""


_NO_MARKS = "no video has hand-checked boxes (data/truth/VIDEO.csv)"
_NO_TRUTH = f"{_NO_MARKS} and no frame has been reviewed (gotowce review)"
REVIEWS = "reviews"

MEASURES = {
    "designators": Measure(
        "Designators against ground truth",
        "The detectors' boxes compared with hand-checked boxes. Partly hidden marks are ignored.",
        lacking=_NO_MARKS,
    ),
    "targets": Measure(
        "Accepted labels against ground truth",
        "Boxes of the masks that passed the quality gates, compared with hand-checked and reviewed objects. "
        "A target without an accepted label is a false negative; an accepted box without a target is a false "
        "positive. Reviewers saw these boxes before they decided, the most doubtful ones first, so only the "
        "audit sample gives an unbiased error rate.",
        lacking=_NO_TRUTH,
    ),
    "model_test": Measure(
        "The model on the test split",
        "Predictions of the fine-tuned model compared with the labels of the test split, which it was not "
        "trained on. Unless they were reviewed, these are the pipeline's own labels, so the scores measure "
        "how well the model reproduces its training labels.",
        of_model=True,
        truth="accepted labels",
        by_class=True,
        lacking="the dataset has no test split",
    ),
    "model_truth": Measure(
        "The model against ground truth",
        "Predictions of the model compared with hand-checked and reviewed objects. Some of these frames "
        "come from parts of the videos that it was trained on.",
        of_model=True,
        lacking=_NO_TRUTH,
    ),
    "model_truth_apart": Measure(
        "The model against ground truth, outside its training data",
        "The same, limited to frames outside the parts of their video that were used for training, and at "
        "least the gap away from them.",
        of_model=True,
        lacking="every frame with ground truth is in a part used for training or too close to one",
    ),
}


@dataclass(frozen=True)
class Findings:
    """Results of the evaluation, before scoring and rendering."""

    cases: Mapping[str, Sequence[Case]]
    """By the name of the measure."""
    labels: pd.DataFrame
    """Rows of tables.LABELS of the frames with ground truth."""
    notes: Sequence[str] = ()
    recalls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Output of recalls.figures for ``all`` frames, those ``apart`` from training data, and each profile."""
    recalls_of: str = ""
    """Source of the ground truth of the recalls."""
    threshold: Threshold | None = None
    """The model's own threshold, where complete truth near training data allows one."""
    reviewed: Mapping[str, Set[tuple[str, int]]] = field(default_factory=dict)
    """By the name of the measure, the (video, frame_index) whose ground truth was reviewed."""

    def truth(self, name: str) -> dict[str, int]:
        """Count the frames of a measure by source of ground truth; reviews take precedence."""
        reviewed = self.reviewed.get(name, frozenset())
        count = sum((case.video, case.frame_index) in reviewed for case in self.cases[name])
        counts = {REVIEWS: count, MEASURES[name].truth: len(self.cases[name]) - count}
        return {source: frames for source, frames in counts.items() if frames}

    def missing(self) -> list[str]:
        """Describe each measure without cases in a sentence."""
        return [f"{m.title}: not measured, {m.lacking}" for n, m in MEASURES.items() if not self.cases[n]]

    def scored(self, name: str, confidence: float) -> dict[str, dict[str, float]]:
        """Score one measure: ``all`` first, then each video; empty if it has no cases."""
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
        """Sort the cases of one measure that have errors, worst first, without boxes below the threshold."""
        measure = MEASURES[name]
        least = confidence if measure.of_model else 0.0
        return worst(self.cases[name], confidence=least, by_class=measure.by_class)
