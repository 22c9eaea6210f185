"""Settings with which the whole pipeline runs in seconds on synthetic scenes."""

from typing import Any

PROFILE = """
name = "synthetic"
videos = ["scene*"]

[[designators]]
name = "hostile"
class_name = "ship"
colours = [{ ycrcb = [95, 185, 110], tolerance = [60, 45, 30] }]
arm = [0.15, 0.35]
arm_px = 6
gap = [0.3, 0.7]
thickness_px = 2
size_px = [30, 0]
"""
"""Profile of the brackets in synthetic scenes named ``scene...``."""


def small_params(**sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sections of params.yaml; ``sections`` add to them or replace their values."""
    small: dict[str, dict[str, Any]] = {
        "extracted_frames": {"fps": 5.0},
        "masks": {"segmenter": ["grabcut"]},
        "yolo_dataset": {"gap_s": 0.3},
        "finetuned_model": {"weights": ["yolo26n.yaml"]},
        "segment_everything": {},
        "detector_comparison": {
            "detectors": {"bracket": {"kind": "bracket"}},
            "segmenters": [],
            "frames": 2,
            "bootstrap": 100,
            "max_batch": 1,
        },
        "prompt_inputs": {
            "detectors": {"bracket": {"kind": "bracket"}},
            "inputs": {"raw": None, "thresholded": {"threshold": "auto"}},
            "frames": 2,
            "bootstrap": 100,
        },
    }
    return {name: values | sections.get(name, {}) for name, values in small.items()}
