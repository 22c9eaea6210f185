from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from gotowce_dagster.assets import reporting
from gotowce_dagster.assets.reporting import log_progress, preview_metadata
from gotowce_dagster.previews.base import Preview

CALM = np.full((100, 200, 3), (250, 20, 20), np.uint8)


def test_preview_as_metadata(tmp_path: Path) -> None:
    metadata = preview_metadata(
        Preview(
            {"frames": 54, "rate": 0.5, "median": 0.8312676548957825, "engine": "grabcut"},
            CALM,
            ["2 frames lost"],
        ),
        tmp_path,
    )
    assert metadata["frames"] == dg.MetadataValue.int(54)
    assert metadata["rate"] == dg.MetadataValue.float(0.5)
    assert metadata["median"] == dg.MetadataValue.float(0.831268)
    assert metadata["engine"] == dg.MetadataValue.text("grabcut")
    assert metadata["notes"] == dg.MetadataValue.md("- 2 frames lost")
    assert str(metadata["picture"].value).startswith("![picture](data:image/jpeg;base64,")


def test_pictures_are_small_inline_and_whole_in_files(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 1320, 3), np.uint8)
    metadata = preview_metadata(
        Preview({}, noise, more={"PR curve": noise, "dull": CALM}), tmp_path / "masks"
    )
    texts = {name: str(value.value) for name, value in metadata.items()}
    assert sum(map(len, texts.values())) < 20_000 + 3 * (len(str(tmp_path)) + 100)
    assert set(texts) == {"picture", "PR curve", "dull"}
    for name, file in {"picture": "picture.jpg", "PR curve": "pr_curve.jpg", "dull": "dull.jpg"}.items():
        assert f"![{name}](data:image/jpeg;base64," in texts[name]
        assert texts[name].endswith(f"full size: `{tmp_path / 'masks' / file}`")
    with Image.open(tmp_path / "masks" / "pr_curve.jpg") as full:
        assert full.size == (1320, 900)


def test_log_tells_rate_and_estimate_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, messages = [0.0], []
    context = dg.build_asset_context()
    monkeypatch.setattr(context.log, "info", messages.append)
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    show = log_progress(context)
    for done in range(1, 31):
        now[0] += 1
        show(done, 40)
    assert messages == [
        "10/40 (25%), 1/s, 30 s left",
        "20/40 (50%), 1/s, 20 s left",
        "30/40 (75%), 1/s, 10 s left",
    ]
