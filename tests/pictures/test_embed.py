import base64

import cv2
import numpy as np

from gotowce_dagster.pictures.embed import data_uri

NOISE = np.random.default_rng(1).integers(0, 255, (1600, 2400, 3), np.uint8)
CALM = np.full((100, 200, 3), (250, 20, 20), np.uint8)


def _picture(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture


def test_even_noise_comes_near_the_limit() -> None:
    uri = data_uri(NOISE, 200_000)
    assert len(uri) <= 200_100
    assert _picture(uri).shape[1] >= 300


def test_small_picture_keeps_size_and_colour() -> None:
    picture = _picture(data_uri(CALM, 100_000))
    assert picture.shape == CALM.shape
    assert np.abs(picture.astype(int) - CALM).mean() < 4
