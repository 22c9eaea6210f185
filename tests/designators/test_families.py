"""Each family on scenes with exact truth, after H.264 with halved chroma; no benchmark has these seeds."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators import families
from gotowce_dagster.designators.base import Draft, Scene, Sighting
from gotowce_dagster.designators.bracket import is_known
from gotowce_dagster.designators.choose import candidates
from gotowce_dagster.designators.circles import alone, circles
from gotowce_dagster.designators.evidence import mask_of, to_ycrcb
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.hud import still, still_paint, still_regions
from gotowce_dagster.designators.outline import Outline
from gotowce_dagster.designators.profile import (
    AnyDesignator,
    BesideLook,
    Designator,
    OutlineLook,
    Profile,
    read_profile,
    write_profile,
)
from gotowce_dagster.designators.sightings import SURE, marks
from gotowce_dagster.detectors.local.bracket import Bracket
from tests.designators.accuracy import accuracy
from tests.marks_scenes import MarkScene, decoded, examples_at
from tests.strokes import fixed

SMALL = (640, 360)
SCENES = {
    scene.variant: replace(scene, size=SMALL, frames=12)
    for scene in (
        MarkScene("frame", "closed", seed=31, text=True),
        MarkScene("frame", "dashed", seed=32, clutter=True),
        MarkScene("radial", "ring", seed=33, pulsing=True, clutter=True),
        MarkScene("radial", "diamond", seed=34),
        MarkScene("radial", "pointers4", seed=35, turning=True),
        MarkScene("beside", "chevron", seed=36, clutter=True),
        MarkScene("outline", "outline", seed=37),
        MarkScene("ground", "ground", seed=38),
    )
}
SHAPES = {"ring": "ring", "diamond": "diamond", "pointers4": "pointers"}

Learned = Callable[[MarkScene], tuple[AnyDesignator, list[np.ndarray], list[int]]]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """What five examples teach, the frames, and which of them were examples; of each scene only once."""

    @cache
    def of(scene: MarkScene) -> tuple[AnyDesignator, list[np.ndarray], list[int]]:
        images, chosen = decoded(scene, tmp_path_factory.mktemp("scene")), examples_at(scene)
        examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]
        return candidates(examples, "mark", "ship")[0].designator, images, chosen

    return of


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_family_is_chosen_and_finds_its_marks(scene: MarkScene, learned: Learned) -> None:
    designator, images, chosen = learned(scene)
    assert designator.family == scene.family
    assert getattr(designator, "shape", None) == SHAPES.get(scene.variant)
    ious, wrong = accuracy(scene, designator, images, chosen)
    assert len(ious) >= 6
    assert min(ious) >= 0.7
    assert wrong == 0
    empty = replace(scene, shown=False)
    assert [marks(to_ycrcb(empty.picture(i)), designator, SURE) for i in (0, 6)] == [[], []]


@pytest.mark.slow
@pytest.mark.parametrize(
    "scene",
    [
        MarkScene("frame", "closed", seed=63, occluded=True),
        MarkScene("radial", "ring", seed=64, edge=True, pulsing=True),
        MarkScene("beside", "dot", seed=65, marks=2, lock=True),
        MarkScene("corners", "fixed", seed=8414, marks=2, turning=True, pulsing=True),
    ],
    ids=["behind a panel", "across the edge", "two, locked on", "two, pulsing on tinted ground"],
)
def test_whole_marks_are_found_beside_hidden_and_cut_ones(scene: MarkScene, learned: Learned) -> None:
    scene = replace(scene, size=SMALL, frames=16)
    designator, images, chosen = learned(scene)
    assert designator.family == scene.family
    hits, wrong = [], 0
    for index, image in enumerate(images):
        if index in chosen:
            continue
        found = np.array([s.box for s in marks(to_ycrcb(image), designator, SURE)]).reshape(-1, 4)
        truth = scene.truth(index)
        drawn = np.array([d.mark for d in truth]).reshape(-1, 4)
        iou = sv.box_iou_batch(drawn, found) if len(found) and len(drawn) else np.zeros((len(drawn), 0))
        hits += [row.max(initial=0) >= 0.7 for row, d in zip(iou, truth, strict=True) if d.whole]
        wrong += int((iou.max(axis=0, initial=0) < 0.2).sum())  # what is left of a hidden one may be found
    assert len(hits) >= 3
    assert all(hits)
    assert wrong == 0


@pytest.mark.slow
def test_profile_of_another_family_is_written_read_and_detected_with(
    tmp_path: Path, learned: Learned
) -> None:
    scene = SCENES["pointers4"]
    designator, images, _ = learned(scene)
    profile = Profile(name="game", designators=(designator,))
    write_profile(profile, tmp_path / "game.toml")
    assert read_profile(tmp_path / "game.toml") == profile
    found = Bracket(profile).detect([images[7]])[0]
    assert len(found) == 1
    assert list(found.data["visible_corners"]) == [None]
    assert sv.box_iou_batch(scene.truth(7)[0].mark[None], found.xyxy)[0, 0] >= 0.8


@pytest.mark.slow
def test_colour_that_changes_on_lock_is_learned_from_both(learned: Learned) -> None:
    scene = MarkScene("frame", "closed", seed=50, size=SMALL, frames=12, lock=True)
    designator, images, _ = learned(scene)
    assert len(designator.colours) == 2
    assert all(len(marks(to_ycrcb(images[i]), designator, SURE)) == 1 for i in (1, 10))


def test_scenes_are_of_every_family() -> None:
    assert {scene.family for scene in SCENES.values()} == set(families.CLASSIC)


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_mark_pixels_lie_at_the_mark_and_leave_its_middle(scene: MarkScene, learned: Learned) -> None:
    family = scene.family
    designator, images, _ = learned(scene)
    ycrcb = to_ycrcb(images[3])
    assert not isinstance(designator, Designator)
    box = marks(ycrcb, designator, SURE)[0].box
    mask = families.scene_of(ycrcb, designator).mask
    own = families.FAMILIES[designator.family].mark_pixels(mask, box, designator)
    _, x = np.nonzero(own)
    assert len(x) > 20
    assert x.min() >= box[0] - 6
    assert x.max() <= box[2] + 6
    if family in ("radial", "frame"):
        middle = ((box[:2] + box[2:]) / 2).astype(int)
        assert not own[middle[1] - 4 : middle[1] + 4, middle[0] - 4 : middle[0] + 4].any()


def test_sightings_that_stand_still_while_marks_move_are_known() -> None:
    hud = np.array([10.0, 10, 40, 40])
    found = [
        [hud + jitter, np.array([100.0 + 9 * k, 50, 140 + 9 * k, 90])]
        for k, jitter in enumerate((0, 1, -1, 0))
    ]
    moving = [np.array([200.0 + 20 * k, 50, 240 + 20 * k, 90]) for k in range(4)]
    assert [box.tolist() for box in still(found, moving)] == [hud.tolist()]
    assert still(found, [moving[0]] * 4) == []  # where the marks are static too, nothing can be decided


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "resembles"),
    [
        (
            MarkScene(
                "corners", "fixed", seed=22, marks=2, turning=True, pulsing=True, lock=True, clutter=True
            ),
            True,
        ),
        (MarkScene("radial", "pointers3", seed=20, clutter=True), False),
    ],
    ids=["corners", "letters are no pointers, known or not"],
)
def test_a_part_of_the_hud_that_resembles_the_mark_in_few_frames_is_known(
    scene: MarkScene, resembles: bool, tmp_path: Path
) -> None:
    images, chosen = decoded(scene, tmp_path), examples_at(scene)
    examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]
    others = [images[i] for i in range(2, scene.frames, 7) if i not in chosen]
    designator = candidates(examples, "mark", "ship", others)[0].designator
    assert designator.not_marks
    empty = decoded(replace(scene, shown=False), tmp_path)
    found = [s for image in empty for s in marks(to_ycrcb(image), designator, SURE)]
    assert found == []
    without = designator.model_copy(update={"not_marks": ()})
    assert any(marks(to_ycrcb(image), without, SURE) for image in empty) is resembles


def test_bars_and_text_that_stand_still_at_the_edge_are_regions_of_the_hud() -> None:
    masks = [np.zeros((360, 640), bool) for _ in range(10)]
    for number, mask in enumerate(masks):
        mask[20:26, 20:120] = mask[34:40, 20:90] = number != 3  # bars, one frame without
        mask[170:180, 300:340] = True  # far from the edges: a camera that stands still
        mask[2:358, [2, 637]] = mask[[2, 357], 2:638] = True  # the border of the screen
        mask[200:220, 40 + 9 * number : 70 + 9 * number] = True  # a mark that moves
        mask[330:340, 20:60] = True  # still, but where an example was drawn
    examples = [np.array([15.0, 325, 65, 345])]
    assert [box.tolist() for box in still_regions(masks, examples)] == [[20, 20, 120, 40]]


def _hud_over_ground(*, moving: bool) -> list[np.ndarray]:
    """Ten frames with a HUD and a mark that moves: YCrCb uint8 (180, 320, 3)."""
    frames = []
    for number in range(10):
        rng = np.random.default_rng(number if moving else 0)
        ground = cv2.resize(rng.uniform((40, 122, 122), (140, 134, 134), (9, 16, 3)), (320, 180))
        frame = ground.round().astype(np.uint8)
        frame[20:24, 20:120] = (90, 105, 114)  # letters: the mark's hue, too pale for its colours
        frame[40:44, 20:120] = (150, 170, 110)  # bars of another colour
        frame[100:110, 20 * number : 20 * number + 10] = (150, 60, 90)  # a mark that moves
        if number % 2:
            frame[60:64, 20:120] = (150, 60, 90)  # text that comes and goes
        frames.append(frame)
    return frames


def test_faint_lines_of_the_marks_hue_are_still_paint_and_what_moves_or_has_another_hue_is_not() -> None:
    colour = Colour(ycrcb=(150, 60, 90), tolerance=(40, 25, 20))
    grey = Colour(ycrcb=(90, 128, 128), tolerance=(40, 30, 30))
    frames = _hud_over_ground(moving=True)
    assert not any(mask_of(frame, [colour])[20:24, 20:120].any() for frame in frames)
    wanted = np.zeros((180, 320), bool)
    wanted[20:24, 20:120] = True
    assert (still_paint(frames, [colour]) == wanted).all()
    assert not still_paint(frames, [grey]).any()
    assert not still_paint(_hud_over_ground(moving=False), [colour]).any()  # may be grass


def test_rings_of_letters_do_not_stand_alone_and_a_ring_with_text_beside_it_does() -> None:
    mask = np.zeros((200, 300), np.uint8)
    cv2.circle(mask, (100, 100), 30, 1, 2)
    cv2.putText(mask, "Viper 3 km", (136, 104), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    centre, radii = np.array([100.0, 100]), (30.0, 30.0)
    assert alone(mask, centre, radii) == 1
    for row in range(6):
        cv2.putText(mask, "SPEED 312 m/s XW", (30, 50 + 20 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    assert alone(mask, centre, radii) == 0


@pytest.mark.parametrize("half", [14, 20, 60])
def test_the_lines_of_a_small_diamond_do_not_count_as_clutter_inside_of_it(half: int) -> None:
    mask = np.zeros((180, 180), np.uint8)
    corners = np.array([[0, -half], [half, 0], [0, half], [-half, 0]]) + 90
    cv2.polylines(mask, [corners], True, 1, 2, cv2.LINE_8)
    box = np.array([90.0 - half, 90 - half, 91 + half, 91 + half])
    scene = Scene(np.zeros((180, 180, 3), np.uint8), mask)
    colour = Colour(ycrcb=(128, 128, 128), tolerance=(9, 9, 9))
    looks = families.FAMILIES["radial"].learn([scene] * 3, [box] * 3, Draft("mark", "ship", (colour,)))
    [diamond] = [look for look in looks if getattr(look, "shape", "") == "diamond"]
    best = max(families.FAMILIES["radial"].find(scene, diamond), key=lambda s: s.confidence)
    assert best.confidence >= 0.95
    assert np.abs(best.box - box).max() <= 3  # on the pixels; the inset is for the drawn box


def test_a_small_sign_is_found_by_its_form_and_not_amid_its_colour() -> None:
    colours = (Colour(ycrcb=(200, 128, 128), tolerance=(40, 9, 9)),)

    def scene(x: int, y: int, side: int, crowded: bool = False) -> Scene:
        ycrcb = np.full((120, 200, 3), (60, 128, 128), np.uint8)
        chevron = np.array([[0, 0], [side, 0], [side / 2, side * 0.75]]) + np.array([x, y])
        cv2.fillPoly(ycrcb, [fixed(chevron)], (200, 128, 128), cv2.LINE_AA, 4)
        if crowded:
            ycrcb[y : y + side, x - 14 : x - 3] = (200, 128, 128)
        return Scene(ycrcb, mask_of(ycrcb, colours))

    scenes = [scene(60 + 8 * k, 40, side) for k, side in enumerate((18, 20, 22))]
    boxes = [
        np.array([60 + 8 * k, 40, 61 + 8 * k + side, 41 + 0.75 * side]) for k, side in enumerate((18, 20, 22))
    ]
    [look] = families.FAMILIES["beside"].learn(scenes, boxes, Draft("mark", "ship", colours))
    assert isinstance(look, BesideLook)
    (found,) = families.FAMILIES["beside"].find(scene(120, 70, 20), look)
    assert found.confidence > 0.9
    assert np.abs(found.box - [120, 70, 141, 86]).max() <= 1.5
    own = families.FAMILIES["beside"].mark_pixels(scene(120, 70, 20).mask, found.box, look)
    assert own.sum() == scene(120, 70, 20).mask.sum()
    square = scene(120, 70, 20)
    square.ycrcb[70:86, 120:141] = (200, 128, 128)
    assert families.FAMILIES["beside"].find(Scene(square.ycrcb, mask_of(square.ycrcb, colours)), look) == []
    crowded = families.FAMILIES["beside"].find(scene(120, 70, 20, crowded=True), look)
    assert crowded == []
    assert (
        families.FAMILIES["beside"].learn(scenes, [box + 30 for box in boxes], Draft("m", "s", colours)) == []
    )


def test_words_enclose_several_small_holes_and_are_no_outline() -> None:
    def scene(draw: bool, word: bool) -> Scene:
        mask = np.zeros((120, 240), np.uint8)
        if draw:
            cv2.polylines(mask, [np.array([[30, 70], [70, 40], [75, 90]])], True, 1, 2)
        if word:
            mask[60:80, 120:165] = 1  # four letters that touch, with three holes each
            mask[63:77:5, 123:163] = mask[64:78:5, 123:163] = mask[65:79:5, 123:163] = 0
            mask[60:80, [132, 141, 150]] = 1
        return Scene(np.zeros((*mask.shape, 3), np.uint8), mask)

    shown = scene(draw=True, word=False)
    box = np.array(cv2.boundingRect(shown.mask), float)
    box[2:] += box[:2]
    colours = (Colour(ycrcb=(128, 128, 128), tolerance=(9, 9, 9)),)
    [look] = Outline().learn([shown] * 3, [box] * 3, Draft("mark", "ship", colours))
    assert isinstance(look, OutlineLook)
    assert look.hollow > 0.3
    wider = look.model_copy(update={"enclosed": (0.3, 1.0), "thickness_px": 6.0, "aspect": (0.4, 2.5)})
    found = Outline().find(scene(draw=True, word=True), wider)
    assert [s.box.tolist() for s in found] == [box.tolist()]
    anything = wider.model_copy(update={"hollow": 0.0})
    assert len(Outline().find(scene(draw=True, word=True), anything)) == 2


@pytest.mark.parametrize(
    ("width", "gap", "count"),
    [(5, 0, 1), (5, 4, 1), (3, 0, 1), (1, 0, 0)],
    ids=["as learned", "broken", "half as wide", "hairline"],
)
def test_outlines_have_lines_about_as_wide_as_those_learned(width: int, gap: int, count: int) -> None:
    def scene(width: int, gap: int = 0) -> Scene:
        mask = np.zeros((120, 120), np.uint8)
        cv2.rectangle(mask, (40, 40), (70, 80), 1, width)
        mask[:60, 55 : 55 + gap] = 0
        return Scene(np.zeros((120, 120, 3), np.uint8), mask)

    box = np.array([38.0, 38, 73, 83])
    colours = (Colour(ycrcb=(128, 128, 128), tolerance=(9, 9, 9)),)
    [look] = Outline().learn([scene(5)] * 3, [box] * 3, Draft("mark", "ship", colours))
    found = Outline().find(scene(width, gap), look)
    assert sum(s.confidence >= SURE for s in found) == count


@pytest.mark.parametrize(("luma", "found"), [(170, 1), (112, 0)], ids=["a mark", "rough ground"])
def test_marks_stand_out_from_what_is_beside_them(luma: int, found: int) -> None:
    colours = (Colour(ycrcb=(140, 128, 128), tolerance=(40, 9, 9)),)

    def scene(luma: int) -> Scene:
        ycrcb = np.full((360, 480, 3), (98, 128, 128), np.uint8)
        cv2.rectangle(ycrcb, (40, 40), (70, 80), (luma, 128, 128), 4)
        return Scene(ycrcb, mask_of(ycrcb, colours))

    box = np.array([38.0, 38, 73, 83])
    [look] = families.learn("outline", [scene(170)] * 3, [box] * 3, Draft("mark", "ship", colours))
    shown = scene(luma)
    assert len(Outline().find(shown, look)) == 1  # its form is that of the mark
    assert len(families.find(shown.ycrcb, look, SURE)) == found


@pytest.mark.parametrize(
    ("box", "known"),
    [
        ((100, 20, 150, 60), True),
        ((112, 20, 150, 60), True),
        ((101, 21, 151, 120), False),
        ((110, 25, 140, 50), True),
        ((90, 10, 160, 70), False),
        ((130, 40, 180, 80), False),
    ],
    ids=["itself", "three edges", "three edges of little of it", "inside", "around", "across"],
)
def test_what_a_known_part_of_the_hud_is(box: tuple[float, ...], known: bool) -> None:
    assert is_known(np.array(box, float), ((100, 20, 150, 60), (300, 200, 340, 240))) is known


def test_of_overlapping_sightings_the_surest_stays() -> None:
    box = np.array([10.0, 10, 50, 50])
    sightings = [Sighting(box, 0.6), Sighting(box + 2, 0.9), Sighting(box + 100, 0.5)]
    assert [s.confidence for s in families.distinct(sightings)] == [0.9, 0.5]


def test_a_ring_of_short_arcs_with_ticks_is_fitted_however_compression_scatters_its_votes() -> None:
    missed = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        mask, turn, centre = np.zeros((160, 160), np.uint8), rng.uniform(0, 90), rng.uniform(70, 90, 2)
        for begin in turn + 90 * np.arange(4):
            axes = (31 * 16, 31 * 16)
            cv2.ellipse(mask, fixed(centre).tolist(), axes, 0, begin + 22, begin + 68, 1, 2, cv2.LINE_8, 4)
            out = np.array([np.cos(np.radians(begin)), np.sin(np.radians(begin))])
            inner, outer = (np.round(centre + radius * out).astype(int).tolist() for radius in (23, 31))
            cv2.line(mask, inner, outer, 1, 2)
        # Chroma is halved: whole blocks of 2x2 pixels are the mark's or not.
        blocks = cv2.resize(mask.astype(np.float32), (80, 80), interpolation=cv2.INTER_AREA)
        kept = (blocks + rng.normal(0, 0.3, blocks.shape) > 0.5).astype(np.uint8)
        mask &= cv2.resize(kept, (160, 160), interpolation=cv2.INTER_NEAREST)
        off = [np.abs(c.centre - centre).max() + abs(c.line - 31) for c in circles(mask, (15.0, 65.0))]
        missed += [seed] if min(off, default=99.0) > 3 else []
    assert missed == []
