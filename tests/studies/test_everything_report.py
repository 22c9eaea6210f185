import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.studies.everything_report import by_method, by_size, conclusions, report, sizes_figure
from tests.shipped import params

SETTINGS = params().segment_everything.model_copy(update={"size_bins": [0, 10, 20], "found_iou": 0.5})
FITS = pd.DataFrame(
    {
        "method": ["tiles"] * 4 + ["whole"] * 4,
        "size": [6.0, 9.9, 10.0, 55.0] * 2,
        "box_iou": [0.5, 0.7, 0.49, 0.9, 0.0, 0.0, 0.6, 0.9],
    }
)
CUTS = pd.DataFrame(
    {
        "video": "clip",
        "frame_index": [3, 9, 3, 9],
        "method": ["tiles", "tiles", "whole", "whole"],
        "pieces": [40, 60, 10, 20],
        "seconds": [3.0, 5.0, 1.0, 1.0],
        "memory_mb": [900.0, 800.0, 1200.0, 1000.0],
    }
)


def test_share_found_by_size() -> None:
    table = by_size(FITS, SETTINGS).set_index(["size", "method"])
    assert table["targets"].to_dict() == {
        ("0 to 10 px", "tiles"): 2, ("0 to 10 px", "whole"): 2,
        ("10 to 20 px", "tiles"): 1, ("10 to 20 px", "whole"): 1,
        ("20 px and more", "tiles"): 1, ("20 px and more", "whole"): 1,
        ("all", "tiles"): 4, ("all", "whole"): 4,
    }  # fmt: skip
    assert table.loc[("0 to 10 px", "tiles"), "share"] == 1
    assert table.loc[("0 to 10 px", "whole"), "share"] == 0
    assert table.loc[("10 to 20 px", "tiles"), "found"] == 0
    all_tiles = table.loc[("all", "tiles")]
    assert all_tiles[["share", "median_best_iou"]].tolist() == pytest.approx([0.75, 0.6])
    # Wilson's interval of 3 of 4.
    assert all_tiles[["low", "high"]].tolist() == pytest.approx([0.3006, 0.9544], abs=1e-4)


def test_cost_and_fit_by_method() -> None:
    table = by_method(CUTS, FITS, SETTINGS)
    assert table.loc["tiles", ["segments_a_frame", "seconds_a_frame", "peak_mb"]].tolist() == [50, 4, 900]
    assert table.loc["whole", ["objects", "found", "lowest_best_iou"]].tolist() == [4, 2, 0]


def test_the_conclusion_has_the_numbers() -> None:
    sentences = conclusions(by_size(FITS, SETTINGS), by_method(CUTS, FITS, SETTINGS))
    assert sentences[0].startswith("Targets of 0 to 10 px: tiles finds 2 of 2 (100%, 34% to 100%); whole")
    assert sentences[-2].startswith("All sizes: tiles finds 3 of 4 (75%, 30% to 95%)")
    assert (
        sentences[-1]
        == "A frame takes: tiles: 4.0 s, 900 MB, 50 segments; whole: 1.0 s, 1200 MB, 15 segments."
    )


def test_without_truth_only_segments_are_counted() -> None:
    none = FITS.iloc[:0]
    page = report(
        CUTS, none, SETTINGS, [("", np.zeros((20, 30, 3), np.uint8))], engine="", missing="no model"
    )
    assert "No frame has ground-truth objects" in page
    assert "no model" in page
    assert "Share found over size" not in page


def test_the_figure_shows_every_size() -> None:
    assert sizes_figure(by_size(FITS, SETTINGS)).shape[2] == 3
