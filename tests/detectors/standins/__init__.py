"""The architectures of published models, small, with seeded random weights, and saved in their formats."""

from tests.detectors.standins.closed import d_fine, rf_detr, yolo, yolo_world, yoloe
from tests.detectors.standins.generating import blip, florence2, kosmos2, moondream
from tests.detectors.standins.parts import WORDS
from tests.detectors.standins.prompted import clip_text, grounding_dino, owl, sam3

__all__ = [
    "WORDS",
    "blip",
    "clip_text",
    "d_fine",
    "florence2",
    "grounding_dino",
    "kosmos2",
    "moondream",
    "owl",
    "rf_detr",
    "sam3",
    "yolo",
    "yolo_world",
    "yoloe",
]
