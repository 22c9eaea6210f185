import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.pictures.curves import bars, precision_recall, training_curves

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2],
        "train_box_loss": [2.0, 1.0],
        "val_box_loss": [2.0, 1.5],
        "precision": [0.1, 0.5],
        "recall": [0.2, 0.6],
        "mAP50": [0.1, 0.4],
        "mAP50_95": [0.05, 0.2],
    }
)


@pytest.mark.parametrize(
    "picture",
    [
        lambda: training_curves(HISTORY),
        lambda: training_curves(HISTORY.iloc[:1]),
        lambda: precision_recall(
            {"a": (np.array([0.5, 1]), np.array([1, 0.6])), "b": (np.zeros(0), np.zeros(0))}
        ),
        lambda: bars(["one", "two"], {"a": [0.5, np.nan], "b": [1, 0]}, "title"),
        lambda: bars([], {}, "nothing"),
    ],
    ids=["training", "one epoch", "precision over recall", "bars", "no bars"],
)
def test_drawn_as_rgb(picture) -> None:
    drawn = picture()
    assert drawn.dtype == np.uint8
    assert drawn.ndim == 3
    assert drawn.shape[2] == 3
    assert drawn.std() > 0


def test_the_same_numbers_give_the_same_picture() -> None:
    assert (training_curves(HISTORY) == training_curves(HISTORY)).all()


def test_bars_are_as_high_as_their_values() -> None:
    low, high = (bars(["v"], {"a": [value]}, "") for value in (0.2, 0.9))
    blue = [((picture[:, :, 2] > 150) & (picture[:, :, 0] < 50)).sum() for picture in (low, high)]
    assert blue[1] > 3 * blue[0]
