"""The columns of a detector's answer."""

import numpy as np
import supervision as sv


def classes(answer: sv.Detections) -> list[str]:
    return np.asarray(answer.data["class_name"]).tolist()


def prompts(answer: sv.Detections) -> list[str]:
    return np.asarray(answer.data["prompt"]).tolist()


def confidence(answer: sv.Detections) -> np.ndarray:
    return np.asarray(answer.confidence)
