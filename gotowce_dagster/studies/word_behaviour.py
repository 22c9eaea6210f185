"""What a detector answers to single words: confidences and boxes on sample frames."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.config.detector_settings import OpenSettings
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.registry import build_detector

COLUMNS = ["detector", "word", "role", "frames", "frames_with_boxes", "boxes", "highest", "median_highest"]


def behaviour(
    name: str,
    settings: OpenSettings,
    roles: Mapping[str, str],
    images: Sequence[np.ndarray],
    min_confidence: float,
) -> pd.DataFrame:
    """Ask a detector for words, each as a class of its own; boxes of different words may overlap.

    Args:
        roles: what each word is: prompt, neighbour or control.
        images: RGB uint8 (H, W, 3).

    Returns:
        One row per word (COLUMNS): ``highest`` confidence of all boxes, and the median over frames of the
        highest of each, 0 where there is no box.
    """
    changes = {
        "prompts": {word: [word] for word in roles},
        "min_confidence": min_confidence,
        "nms_iou": 1.0,
    }
    if settings.kind == "zero_shot":
        changes["text_confidence"] = min_confidence
    detector = build_detector(name, settings.model_copy(update=changes), Profile(name="none"))
    answers = detector.detect(images)
    rows = []
    for word, role in roles.items():
        sure = [np.asarray(one.confidence)[one.data["prompt"] == word.lower()] for one in answers]
        highest = [float(each.max(initial=0)) for each in sure]
        counts = [len(each) for each in sure]
        numbers = (len(images), sum(map(bool, counts)), sum(counts), max(highest), float(np.median(highest)))
        rows.append((name, word, role, *numbers))
    return pd.DataFrame(rows, columns=COLUMNS)
