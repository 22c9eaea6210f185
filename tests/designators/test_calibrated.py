import numpy as np

from gotowce_dagster.designators.calibrate import Calibration, Fit
from gotowce_dagster.designators.calibrated import calibration_picture
from gotowce_dagster.designators.examples import Example
from tests.detectors.marks import PROFILE, TARGET, compressed, put_mark, sky


def test_picture_shows_the_marks_colours_and_every_example() -> None:
    fits = []
    for number in range(3):
        image = sky(seed=number)
        box = put_mark(image, 100, 80, 50)
        fits.append(Fit(Example(number, compressed(image), box), box, 1.0))
    pictures = [calibration_picture(Calibration(PROFILE, TARGET, fits[:n])) for n in (1, 3)]
    assert pictures[0].dtype == np.uint8
    assert pictures[1].shape[0] > pictures[0].shape[0]
    swatches = pictures[0][20:300, 20:300].reshape(-1, 3).astype(int)
    assert (swatches[:, 0] >= swatches[:, 1:].max(axis=1)).mean() > 0.9  # all of them reddish
