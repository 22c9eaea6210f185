import dagster as dg
import numpy as np
import pytest

from gotowce_dagster.assets import reporting
from gotowce_dagster.assets.reporting import log_progress, preview_metadata
from gotowce_dagster.previews.base import Preview

CALM = np.full((100, 200, 3), (250, 20, 20), np.uint8)


def test_preview_as_metadata() -> None:
    metadata = preview_metadata(
        Preview({"frames": 54, "rate": 0.5, "engine": "grabcut"}, CALM, ["2 frames lost"])
    )
    assert metadata["frames"] == dg.MetadataValue.int(54)
    assert metadata["rate"] == dg.MetadataValue.float(0.5)
    assert metadata["engine"] == dg.MetadataValue.text("grabcut")
    assert metadata["notes"] == dg.MetadataValue.md("- 2 frames lost")
    assert str(metadata["picture"].value).startswith("![picture](data:image/jpeg;base64,")


def test_log_tells_rate_and_estimate_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [0.0], []
    context = dg.build_asset_context()
    monkeypatch.setattr(context.log, "info", told.append)
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    show = log_progress(context)
    for done in range(1, 31):
        now[0] += 1
        show(done, 40)
    assert told == [
        "10/40 (25%), 1/s, 30 s left",
        "20/40 (50%), 1/s, 20 s left",
        "30/40 (75%), 1/s, 10 s left",
    ]
