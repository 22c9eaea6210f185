"""Studies: experiments whose result is a report, not training data."""

from gotowce_dagster.assets.stage_asset import stage_asset
from gotowce_dagster.assets.videos import raw_videos

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
