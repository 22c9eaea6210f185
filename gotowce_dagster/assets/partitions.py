"""One partition per video, named by the video's key."""

import dagster as dg

VIDEOS = dg.DynamicPartitionsDefinition(name="videos")
