"""Studies: experiments whose result is a report, not training data."""

from gotowce_dagster.assets.stage_asset import stage_asset
from gotowce_dagster.assets.videos import designator_detections, raw_videos

GROUP = "studies"

segment_everything = stage_asset(
    "segment_everything",
    "Segmentation without prompts by SAM 2 and superpixels: segments, seconds, and best fit.",
    [raw_videos],
    group=GROUP,
    kinds={"pytorch"},
    uses_gpu=True,
)

detector_comparison = stage_asset(
    "detector_comparison",
    "Comparison of all detectors in params.yaml on the same frames: accuracy, seconds, memory, cost.",
    [raw_videos],
    group=GROUP,
    kinds={"html"},
    uses_gpu=True,
)

mark_colours = stage_asset(
    "mark_colours",
    "Colours of the detected designators against the background, and the threshold that separates them best.",
    [raw_videos, designator_detections],
    group=GROUP,
    kinds={"html"},
)

crop_sensitivity = stage_asset(
    "crop_sensitivity",
    "Up to what context a describing model notices the mark: descriptions of growing random crops around it.",
    [raw_videos, designator_detections],
    group=GROUP,
    kinds={"html"},
    uses_gpu=True,
)

vocabulary = stage_asset(
    "vocabulary",
    "Prompts looked up in the vocabularies of detection data sets, and what detectors answer to each word.",
    [raw_videos],
    group=GROUP,
    kinds={"html"},
    uses_gpu=True,
)
