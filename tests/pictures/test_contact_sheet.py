import numpy as np
import pytest
from PIL import Image, ImageDraw

from gotowce_dagster.pictures import text
from gotowce_dagster.pictures.contact_sheet import contact_sheet


def _flat(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("images", "columns", "rows", "across", "what"),
    [
        ([_flat(90, 160)], 4, 1, 1, "one image takes one tile, not four"),
        ([_flat(90, 160)] * 4, 4, 1, 4, "a full row"),
        ([_flat(90, 160)] * 5, 4, 2, 4, "a started second row"),
        ([_flat(90, 160), _flat(500, 20), _flat(1, 1)], 2, 2, 2, "odd sizes are fitted in"),
        ([_flat(900, 100)], 4, 1, 1, "a tall image is at most square"),
    ],
)
def test_layout(images: list[np.ndarray], columns: int, rows: int, across: int, what: str) -> None:
    sheet = contact_sheet(images, ["x"] * len(images), columns, tile_width=160)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == across * (160 + 6) + 6, what
    tile = min(160, round(160 * images[0].shape[0] / images[0].shape[1]))
    line = round(11 * 1.35)
    assert sheet.shape[0] == rows * (tile + line + 6) + 6, what


def test_every_image_is_shown_and_none_changed() -> None:
    images = [_flat(90, 160, value) for value in (50, 100, 150)]
    sheet = contact_sheet(images, ["", "", "é"], tile_width=160)
    middles = [sheet[6 + 45, 6 + 166 * column + 80, 0] for column in range(3)]
    assert middles == [50, 100, 150]
    assert all((image == image[0, 0]).all() for image in images)


def test_no_images_are_reported() -> None:
    assert contact_sheet([], []).std() > 0


def test_more_captions_than_images() -> None:
    with pytest.raises(ValueError, match="1 images but 2 captions"):
        contact_sheet([_flat(4, 4)], ["a", "b"])


@pytest.mark.parametrize("line", ["wróg", "цель", "α≥0.9", "…"])
def test_font_has_a_glyph_for(line: str) -> None:
    """The font's box for a missing glyph looks the same for every letter it lacks."""

    def drawn(letter: str) -> bytes:
        picture = Image.new("L", (60, 60))
        ImageDraw.Draw(picture).text((5, 5), letter, fill=255, font=text.font(40))
        return picture.tobytes()

    assert all(drawn(letter) != drawn("\U0010ffff") for letter in line)


@pytest.mark.parametrize(
    ("line", "width", "expected"),
    [("short", 500, "short"), ("two\n  lines", 500, "two lines"), ("", 10, ""), ("wide", 0, "…")],
)
def test_fit(line: str, width: int, expected: str) -> None:
    assert text.fit(line, 12, width) == expected


def test_fit_never_exceeds_the_width() -> None:
    cut = text.fit("a very long caption of many words", 12, 90)
    assert cut.endswith("…")
    assert text.font(12).getlength(cut) <= 90
