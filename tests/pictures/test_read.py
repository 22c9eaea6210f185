from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.pictures.read import read_rgb, size_of


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_image_as_it_is_read(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = tmp_path / "turned.jpg"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(file, exif=exif)
    assert size_of(file) == read_rgb(file).shape[1::-1]


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_no_size_without_an_image(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "frame.jpg"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"frame.jpg: missing or not an image"):
        size_of(file)
