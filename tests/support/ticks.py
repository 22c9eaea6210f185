"""Ticks of Dagster sensors."""

from collections.abc import Callable
from typing import Any

import dagster as dg


def tick(
    sensor: Callable[..., Any], instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[dg.SensorResult | dg.SkipReason, str | None]:
    """Evaluate a sensor once, as the daemon does; returns its result and the cursor of the next tick."""
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    if isinstance(result, dg.SkipReason):
        return result, context.cursor
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return result, result.cursor or context.cursor
