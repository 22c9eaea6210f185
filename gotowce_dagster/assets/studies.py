"""Studies: experiments whose result is a report, not training data."""

from gotowce_dagster.assets.stage_asset import stage_asset
from gotowce_dagster.stages.table import STAGES

GROUP = "studies"
ASSETS = [stage_asset(name, GROUP) for name, stage in STAGES.items() if stage.is_study]
