"""Draw docs/pictures/marks_FAMILY.jpg: of each family a synthetic scene, what is found, and the target.

The middle picture shows the pixels of the mark; of the learned mark, the picture that was cut out.

PYTHONPATH=. python docs/take_mark_pictures.py
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.designators import families
from gotowce_dagster.designators.choose import candidates
from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.picture import read
from gotowce_dagster.designators.profile import Designator, LearnedLook
from gotowce_dagster.designators.relation import regions, with_target
from gotowce_dagster.designators.sightings import SURE, marks
from tests.marks_scenes import MarkScene, decoded, examples_at

PICTURES = Path(__file__).parent / "pictures"
SIDE = 300
SCENES = (
    MarkScene("corners", "fixed", seed=71),
    MarkScene("frame", "dashed", seed=72),
    MarkScene("radial", "pointers4", seed=73, turning=True),
    MarkScene("beside", "chevron", seed=74),
    MarkScene("outline", "outline", seed=75),
    MarkScene("ground", "ground", seed=76),
    MarkScene("learned", "sigil", seed=77),
)


def picture(scene: MarkScene, folder: Path) -> np.ndarray:
    """The mark, its pixels, and what is found: mark green, region of the target yellow."""
    images, chosen = decoded(scene, folder), examples_at(scene)
    drawn = [(i, d) for i in chosen for d in scene.truth(i)]
    examples = [Example(i, images[i], d.mark) for i, d in drawn]
    designator = candidates(examples, "mark", "target")[0].designator
    designator = with_target(designator, [d.mark for _, d in drawn], [d.target for _, d in drawn])
    index = next(i for i in range(5, scene.frames) if i not in chosen and scene.truth(i)[0].whole)
    image, ycrcb = images[index], to_ycrcb(images[index])
    box = marks(ycrcb, designator, SURE)[0].box
    region = regions(designator, box[None])[0]
    middle, half = (box[:2] + box[2:]) / 2, 0.75 * (np.maximum(box[2:], region[2:]) - box[:2]).max() + 18
    mask = mark_mask(ycrcb, designator)
    if not isinstance(designator, Designator):
        mask = families.FAMILIES[designator.family].mark_pixels(mask, box, designator).astype(np.uint8)
    x, y = np.maximum(middle - half, 0).astype(int)
    part = slice(y, y + int(2 * half)), slice(x, x + int(2 * half))
    found = image.copy()
    for corners, colour in ((region, (250, 220, 60)), (box, (90, 255, 120))):
        x1, y1, x2, y2 = np.round(corners).astype(int).tolist()
        cv2.rectangle(found, (x1 - 1, y1 - 1), (x2, y2), colour, 1)
    own = np.repeat(mask[..., None] * np.uint8(255), 3, axis=-1)
    if isinstance(designator, LearnedLook):
        own = cut_out_at(designator, box, image.shape)
    tiles = [image[part], own[part], found[part]]
    return np.hstack([cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) for tile in tiles])


def cut_out_at(designator: LearnedLook, box: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The picture of a learned mark at a box, on black: RGB uint8 of that shape."""
    x1, y1, x2, y2 = np.round(box).astype(int).tolist()
    cutout = read(designator.picture).scaled(x2 - x1, y2 - y1)
    shown = cv2.cvtColor(cutout.colour.round().clip(0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB)
    canvas = np.zeros(shape, np.uint8)
    canvas[y1:y2, x1:x2] = (shown * cutout.opacity[..., None]).astype(np.uint8)
    return canvas


def main() -> None:
    for scene in SCENES:
        small = MarkScene(scene.family, scene.variant, scene.seed, 14, (640, 360), turning=scene.turning)
        with tempfile.TemporaryDirectory() as folder:
            drawn = picture(small, Path(folder))
        path = PICTURES / f"marks_{scene.family}.jpg"
        cv2.imwrite(str(path), drawn[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 85))


if __name__ == "__main__":
    main()
