"""Marks that no family describes: their picture, what finds it, and when calibration resorts to it."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.designators.base import Draft, Scene, Sighting
from gotowce_dagster.designators.choose import candidates
from gotowce_dagster.designators.composed import with_limits
from gotowce_dagster.designators.cutout import cut_out
from gotowce_dagster.designators.erase import mark_pixels
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.learned import Learned, correlation, likeness, one_a_mark
from gotowce_dagster.designators.picture import Cutout, read, written
from gotowce_dagster.designators.profile import LearnedLook, Profile, read_profile, write_profile
from gotowce_dagster.designators.relation import usual_target
from gotowce_dagster.designators.sightings import SURE, marks
from tests.designators.accuracy import accuracy
from tests.marks_scenes import MarkScene, decoded, examples_at

SIDES = np.array([24.0, 20])
OPACITY = 0.7


def painted(ground: np.ndarray, x: int, y: int) -> np.ndarray:
    """A frame with a mark of 24x20 px, red above and white below, partly transparent, around a hole.

    Returns:
        RGB uint8 (H, W, 3).
    """
    image = ground.astype(np.float32)
    colour = np.zeros((20, 24, 3), np.float32)
    colour[:10], colour[10:] = (220, 40, 40), (240, 240, 240)
    share = np.full((20, 24, 1), OPACITY, np.float32)
    share[6:14, 8:16] = 0
    patch = image[y : y + 20, x : x + 24]
    patch[:] = share * colour + (1 - share) * patch
    return image.round().astype(np.uint8)


def grounds() -> list[np.ndarray]:
    """Rough grounds of different brightness: RGB uint8 (120, 160, 3)."""
    rng = np.random.default_rng(7)
    levels = (40, 90, 70, 150, 120, 60)
    rough = [cv2.resize(rng.normal(0, 18, (15, 20, 3)), (160, 120)) for _ in levels]
    return [(level + part).clip(0, 255).astype(np.uint8) for level, part in zip(levels, rough, strict=True)]


def learned() -> tuple[LearnedLook, list[Scene], list[np.ndarray]]:
    """What the first five grounds teach, their scenes, and where the mark is."""
    places = [(30, 20), (100, 70), (60, 40), (20, 90), (120, 30)]
    frames = [to_ycrcb(painted(g, *at)) for g, at in zip(grounds()[:5], places, strict=True)]
    scenes = [Scene(frame, np.zeros(frame.shape[:2], np.uint8)) for frame in frames]
    boxes = [np.array([x, y, x + 24, y + 20], float) for x, y in places]
    [look] = Learned().learn(scenes, boxes, Draft("mark", "ship", ()))
    assert isinstance(look, LearnedLook)
    return look, scenes, boxes


def test_cut_out_has_the_colours_the_opacity_and_the_hole_of_the_mark() -> None:
    look, _, _ = learned()
    cutout = read(look.picture)
    assert cutout.opacity.shape == (20, 24)
    own = np.ones((20, 24), bool)
    own[4:16, 6:18] = False
    own[9:11] = False  # the colours meet
    assert np.median(cutout.opacity[own]) == pytest.approx(OPACITY, abs=0.15)
    assert cutout.opacity[8:12, 10:14].max() == 0
    red, white = cutout.colour[2, 2:22].mean(axis=0), cutout.colour[18, 2:22].mean(axis=0)
    assert red == pytest.approx(to_ycrcb(np.full((1, 1, 3), (220, 40, 40), np.uint8))[0, 0], abs=16)
    assert white == pytest.approx((240, 128, 128), abs=16)


def test_examples_that_have_nothing_in_common_have_no_cut_out() -> None:
    frames = [to_ycrcb(ground) for ground in grounds()[:5]]
    boxes = [np.array([x, 40, x + 24, 60], float) for x in (20, 50, 80, 100, 120)]
    assert cut_out(frames, boxes) is None


def test_mark_is_found_on_an_unseen_ground_and_nothing_without_it() -> None:
    look, scenes, boxes = learned()
    look = with_limits(look, [scene.ycrcb for scene in scenes], boxes)
    ground = grounds()[5]
    shown = to_ycrcb(painted(ground, 77, 51))
    [sighting] = marks(shown, look, SURE)
    assert sighting.box == pytest.approx([77, 51, 101, 71], abs=1)
    assert marks(to_ycrcb(ground), look, SURE) == []
    # A mark of one of its colours alone is another mark.
    white = ground.copy()
    white[51:71, 77:101] = 240
    assert marks(to_ycrcb(white), look, SURE) == []


def test_correlation_is_that_of_the_mark_with_what_differs_from_the_surroundings() -> None:
    rng, unit, wide = np.random.default_rng(5), np.array([24.0, 12, 12]), 2 * 9 + 1
    ycrcb = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    mark = Cutout(
        rng.uniform(0, 255, (7, 9, 3)).astype(np.float32), rng.uniform(0, 1, (7, 9)).astype(np.float32)
    )
    image = ycrcb / unit
    ground = cv2.blur(image, (wide, wide), borderType=cv2.BORDER_REFLECT)
    apart, share, paint = (image - ground).clip(-4, 4), mark.opacity[..., None], mark.colour / unit
    counted = cv2.dilate((mark.opacity > 0.1).astype(np.uint8), np.ones((3, 3), np.uint8))[..., None]
    for y, x in ((12, 20), (30, 50), (3, 4)):
        near = np.s_[y - 3 : y + 4, x - 4 : x + 5]
        total = (apart[near] * share * (paint - ground[near])).sum()
        expected = ((share * (paint - ground[y, x])) ** 2).sum()
        seen = (apart[near] ** 2 * counted).sum()
        value = total / np.sqrt(expected * max(seen, 0.02 * expected))
        assert correlation(ycrcb, mark)[y, x] == pytest.approx(value, abs=1e-4)


def test_likeness_of_the_mark_itself_and_of_an_empty_place() -> None:
    colour = np.full((20, 24, 3), (80, 160, 120), np.float32)
    mark = Cutout(colour, np.ones((20, 24), np.float32)).padded(6)
    ground = np.full((32, 36, 3), (120, 128, 128), np.float32)
    shown = np.where(mark.opacity[..., None] > 0, mark.colour, ground)
    assert likeness(shown, mark) == pytest.approx(1, abs=0.02)
    assert likeness(ground, mark) == pytest.approx(0, abs=1e-6)
    opposite = np.where(mark.opacity[..., None] > 0, 2 * ground - mark.colour, ground)
    assert likeness(opposite, mark) < -0.9


def test_pixels_of_the_mark_are_erased_and_its_hole_is_not() -> None:
    look, _, _ = learned()
    image = painted(grounds()[5], 77, 51)
    own = mark_pixels(image, np.array([77.0, 51, 101, 71]), look)
    assert own[51:71, 77:101].mean() > 0.8
    assert not own[60:62, 88:90].any()
    assert own.sum() == own[45:77, 71:107].sum()
    beyond = mark_pixels(image, np.array([150.0, 51, 174, 71]), look)  # half of it outside the frame
    assert beyond[:, 148:].any()


def test_learned_mark_is_written_and_read_with_its_picture(tmp_path: Path) -> None:
    look, _, _ = learned()
    profile = Profile(name="game", designators=(look,))
    write_profile(profile, tmp_path / "game.toml")
    assert read_profile(tmp_path / "game.toml") == profile
    cutout = read(look.picture)
    assert written(cutout) == look.picture


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("family = ", "likeness_of = 1\nfamily = ", "likeness_of"),
        ("iVBOR", "xxxxx", "picture"),
    ],
    ids=["an unknown key", "no PNG"],
)
def test_learned_mark_with_a_damaged_picture_or_unknown_key_is_refused(
    old: str, new: str, reason: str, tmp_path: Path
) -> None:
    look, _, _ = learned()
    path = tmp_path / "game.toml"
    write_profile(Profile(name="game", designators=(look,)), path)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        read_profile(path)


def test_target_of_a_learned_mark_is_inside_a_hollow_one_and_beside_a_filled_one() -> None:
    look, _, _ = learned()
    ring, disc = np.ones((24, 24), np.float32), np.ones((24, 24), np.float32)
    ring[4:20, 4:20] = 0
    colour = np.full((24, 24, 3), 128, np.float32)
    places = [
        usual_target(look.model_copy(update={"picture": written(Cutout(colour, opacity))})).where
        for opacity in (ring, disc)
    ]
    assert places == ["inside", "beside"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["sigil", "plate"])
def test_calibration_learns_the_picture_of_what_no_family_describes(variant: str, tmp_path: Path) -> None:
    scene = MarkScene(
        "learned", variant, seed=71, size=(640, 360), frames=12, marks=1, lock=True, clutter=True
    )
    images, chosen = decoded(scene, tmp_path), examples_at(scene)
    examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]
    others = [image for i, image in enumerate(images) if i not in chosen]
    best = candidates(examples, "mark", "ship", others)[0]
    assert best.designator.family == "learned"
    assert best.recall == 1
    ious, wrong = accuracy(scene, best.designator, images, chosen)
    assert len(ious) >= 6
    assert min(ious) >= 0.75
    assert np.mean(ious) >= 0.9
    assert wrong == 0
    empty = decoded(replace(scene, shown=False), tmp_path)
    assert [marks(to_ycrcb(image), best.designator, SURE) for image in empty[::3]] == [[]] * 4


@pytest.mark.slow
def test_learned_mark_is_found_at_half_and_twice_the_size(tmp_path: Path) -> None:
    scene = MarkScene("learned", "sigil", seed=83, frames=12, marks=3)
    images = decoded(scene, tmp_path)
    examples = [Example(i, images[i], drawn.mark) for i in (0, 6) for drawn in scene.truth(i)]
    look = candidates(examples, "mark", "ship")[0].designator
    assert look.family == "learned"
    for zoom in (0.5, 2.0):
        shown = replace(scene, zoom=zoom)
        skipped = [i for i in range(scene.frames) if i % 4]
        ious, wrong = accuracy(shown, look, decoded(shown, tmp_path), skipped)
        assert len(ious) >= 6
        assert min(ious) >= 0.7
        assert wrong == 0


@pytest.mark.parametrize(
    ("other", "likeness", "kept"),
    [
        ([105.0, 105, 145, 145], 0.83, ["whole"]),
        ([95.0, 105, 135, 145], 0.6, ["whole"]),
        ([105.0, 105, 145, 145], 0.85, ["other"]),
        ([80.0, 105, 120, 145], 0.6, ["whole", "other"]),
        ([102.0, 102, 178, 178], 0.6, ["whole"]),
        ([102.0, 102, 178, 178], 0.81, ["other"]),
        ([100.0, 100, 260, 260], 0.76, ["other"]),
        ([100.0, 100, 260, 260], 0.73, ["whole"]),
    ],
    ids=[
        "a hook of the mark",
        "beyond its edge",
        "clearly better than the whole",
        "half outside",
        "nearly as large",
        "nearly as large and better",
        "the whole is a hook",
        "the mark with much around it",
    ],
)
def test_of_sightings_of_one_mark_the_best_for_its_size_is_kept(
    other: list[float], likeness: float, kept: list[str]
) -> None:
    both = {
        "whole": Sighting(np.array([100.0, 100, 180, 180]), 0.79),
        "other": Sighting(np.array(other), likeness),
    }
    assert one_a_mark(list(both.values())) == [both[name] for name in kept]


@pytest.mark.slow
def test_a_frame_without_a_mark_tells_the_mark_from_the_target_below_it(tmp_path: Path) -> None:
    """All examples show one ship in one attitude, so the picture contains it."""
    scene = MarkScene("learned", "sigil", seed=9103, size=(640, 360), frames=16)
    bare = replace(scene, shown=False)
    images, unmarked, chosen = decoded(scene, tmp_path), decoded(bare, tmp_path), examples_at(scene)
    examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]

    rest = [k for k in range(16) if k not in chosen]

    def found(empty: list[np.ndarray]) -> list[int]:
        """Frames in which something is found, with marks and without."""
        look = candidates(examples, "mark", "ship", images[2::7], empty=empty)[0].designator
        return [sum(bool(marks(to_ycrcb(one[k]), look, SURE)) for k in rest) for one in (images, unmarked)]

    assert found([]) == [11, 11], "the case does not show what it should"
    assert found([unmarked[chosen[1]]]) == [11, 0]


@pytest.mark.parametrize(
    ("hooks", "kept"),
    [
        ([[105.0, 105, 145, 145], [155, 155, 195, 195]], "whole"),
        ([[105.0, 105, 145, 145], [108, 108, 148, 148]], "hook"),
        ([[105.0, 105, 145, 145]], "hook"),
    ],
    ids=["two hooks", "one hook, seen twice", "one"],
)
def test_a_sighting_with_two_hooks_in_it_is_the_mark(hooks: list[list[float]], kept: str) -> None:
    whole = Sighting(np.array([100.0, 100, 200, 200]), 0.62)
    small = [Sighting(np.array(box), 0.74 - 0.01 * k) for k, box in enumerate(hooks)]
    assert one_a_mark([whole, *small])[0] is {"whole": whole, "hook": small[0]}[kept]


def test_without_sightings_no_mark_is_left() -> None:
    assert one_a_mark([]) == []
