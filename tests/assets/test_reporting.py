import base64

import cv2
import dagster as dg
import numpy as np
import pytest

from gotowce_dagster.assets import reporting
from gotowce_dagster.assets.reporting import data_uri, log_progress, preview_metadata
from gotowce_dagster.stages.base import Preview

NOISE = np.random.default_rng(1).integers(0, 255, (1600, 2400, 3), np.uint8)
CALM = np.full((100, 200, 3), (250, 20, 20), np.uint8)


def _picture(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture


def test_even_noise_fits_the_limit() -> None:
    uri = data_uri(NOISE)
    assert len(uri) <= 100_100
    assert _picture(uri).shape[1] >= 300


def test_small_picture_keeps_size_and_colour() -> None:
    picture = _picture(data_uri(CALM))
    assert picture.shape == CALM.shape
    assert np.abs(picture.astype(int) - CALM).mean() < 4


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
