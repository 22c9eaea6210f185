from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.cli.main import main
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.designators.calibrate import calibrate
from gotowce_dagster.designators.corners import learn
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.local.bracket import Bracket
from gotowce_dagster.video.decode import read_frames
from gotowce_dagster.video.encode import write_video
from tests.detectors.marks import compressed, confidences, put_mark, sky
from tests.support.synthetic import Bracket as Look

SAMPLES = Path(__file__).parents[2] / "data" / "samples"

PLACES = [(60, 50, 42), (400, 200, 46), (250, 130, 60), (500, 40, 44), (120, 260, 52)]


def drawn(look: Look, off: int = 0, places: Sequence[tuple[int, int, int]] = PLACES) -> list[Example]:
    rng = np.random.default_rng(4)
    examples = []
    for number, place in enumerate(places):
        image = sky(seed=number)
        box = put_mark(image, *place, look) + rng.integers(-off, off + 1, 4)
        examples.append(Example(number, compressed(image), box))
    return examples


@pytest.mark.slow
@pytest.mark.parametrize(
    "look",
    [
        Look(colour=(210, 40, 40), arm=0.25),
        Look(colour=(60, 220, 70), arm=0.25, thickness=1),
        Look(colour=(205, 60, 190), arm=0.2, radius=0.6),
        Look(colour=(225, 205, 120), arm=0.3),
        Look(colour=(200, 200, 200), arm=0.2),
        Look(colour=(80, 120, 240), arm=0.15, text="Viper 3 km"),
    ],
    ids=["red", "thin green", "rounded magenta", "straw", "white", "blue beside text"],
)
@pytest.mark.parametrize("off", [0, 2])
def test_learned_profile_finds_marks_elsewhere(look: Look, off: int) -> None:
    designator = learn(drawn(look, off), "mark", "ship")
    assert designator.arm[0] <= look.arm <= designator.arm[1]
    assert designator.thickness_px == pytest.approx(look.thickness, abs=0.6)
    detector = Bracket(Profile(name="p", designators=(designator,)))
    large = 64 if look.radius else 160  # a growing radius is followed only so far
    for example in drawn(look, places=[(300, 60, 43), (30, 180, large), (450, 150, 58)]):
        found = detector.detect([example.image])[0]
        assert confidences(found)[0] >= 0.8
        assert sv.box_iou_batch(example.box[None], found.xyxy[:1])[0, 0] >= (0.88 if off == 0 else 0.8)


@pytest.mark.slow
def test_two_colours_of_one_mark_are_both_learned() -> None:
    examples = drawn(Look(colour=(210, 40, 40))) + drawn(Look(colour=(60, 220, 70)))
    designator = learn(examples, "mark", "ship")
    assert len(designator.colours) == 2
    detector = Bracket(Profile(name="p", designators=(designator,)))
    assert all(len(detector.detect([example.image])[0]) for example in examples)


def test_boxes_around_nothing_are_refused() -> None:
    examples = [Example(i, sky(seed=i), np.array([50.0, 50, 100, 100])) for i in range(4)]
    with pytest.raises(ValueError, match="share no colour"):
        learn(examples, "mark", "ship")


def test_full_frames_are_no_designators() -> None:
    with pytest.raises(ValueError, match="gaps between"):
        learn(drawn(Look(arm=0.5)), "mark", "ship")


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, Path]:
    """A video of five frames with a mark each, and a CSV that also speaks of another clip."""
    video, boxes = tmp_path / "My Clip.mp4", tmp_path / "boxes.csv"
    images, rows = [], []
    for number, place in enumerate(PLACES):
        images.append(sky(seed=number))
        rows.append((video.name, number, *put_mark(images[-1], *place), "designator"))
    write_video(video, images, options={"crf": "20"})
    rows += [("other.mp4", 900, 1, 2, 3, 4, "designator"), (video.name, 3, 5, 5, 9, 9, "object")]
    columns = ["clip", "frame_index", "x1", "y1", "x2", "y2", "label"]
    pd.DataFrame(rows, columns=columns).to_csv(boxes, index=False)
    return video, boxes


@pytest.mark.slow
def test_calibrate_reads_only_its_own_designator_rows(clip: tuple[Path, Path]) -> None:
    result = calibrate(*clip, profile_name="game", name="target", class_name="ship")
    assert [fit.example.frame_index for fit in result.fits] == [0, 1, 2, 3, 4]
    assert min(fit.confidence for fit in result.fits) > 0.8
    assert result.notes == []
    assert result.profile.name == "game"
    assert result.profile.fits("my_clip")


@pytest.mark.slow
def test_another_designator_joins_an_existing_profile(clip: tuple[Path, Path]) -> None:
    first = calibrate(*clip, profile_name="game", name="hostile").profile
    both = calibrate(*clip, profile_name="ignored", name="neutral", into=first).profile
    again = calibrate(*clip, profile_name="ignored", name="hostile", class_name="pirate", into=both).profile
    assert [d.name for d in both.designators] == ["hostile", "neutral"]
    assert {d.name: d.class_name for d in again.designators} == {"hostile": "pirate", "neutral": "target"}
    assert again.name == "game"
    assert again.videos == ("my_clip",)


@pytest.mark.slow
def test_wrong_example_is_reported(clip: tuple[Path, Path]) -> None:
    video, boxes = clip
    rows = pd.read_csv(boxes)
    rows.loc[2, ["x1", "y1", "x2", "y2"]] = [20, 20, 70, 70]
    rows.to_csv(boxes, index=False)
    assert [note.split(":")[0] for note in calibrate(video, boxes, profile_name="p").notes] == ["frame 2"]


def test_a_mark_that_none_of_its_examples_shows_is_refused_and_nothing_is_saved(
    clip: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    # No score reaches this, so nothing that is learned counts as a mark.
    monkeypatch.setattr("gotowce_dagster.designators.calibrate._WORTHLESS", 99)
    video, boxes = clip
    with pytest.raises(
        InputError,
        match=r"the best of what was learned .* of the 5 examples .*nothing is saved.*calibrate again",
    ):
        calibrate(video, boxes, profile_name="p")
    before = sorted(tmp_path.iterdir())
    words = ["gotowce", "calibrate", str(video), "--boxes", str(boxes), "--out", str(tmp_path / "p.toml")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert sorted(tmp_path.iterdir()) == before
    assert "nothing is saved" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows.iloc[[0, 1, 5]], "2 boxes labelled `designator` on My Clip.mp4, at least 3"),
        (lambda rows: rows.assign(clip="other.mp4"), "clips in this file: other.mp4"),
        (
            lambda rows: rows.assign(frame_index=[0, 1, 2, 3, 77, 900, 3]),
            "row 6: the video ends with frame 4",
        ),
        (lambda rows: rows.assign(x2=2000.0), "row 2: the box exceeds the image of"),
        (
            lambda rows: rows.assign(x1=4.0, y1=4.0, x2=10.0, y2=10.0),
            "the boxes are 6 pixels large, and a mark needs about 9",
        ),
    ],
    ids=[
        "two boxes",
        "another clip",
        "no such frame",
        "boxes of a larger picture",
        "small boxes around nothing",
    ],
)
def test_bad_boxes_are_refused(clip: tuple[Path, Path], edit, message: str) -> None:
    video, boxes = clip
    edit(pd.read_csv(boxes)).to_csv(boxes, index=False)
    with pytest.raises(InputError, match=message) as error:
        calibrate(video, boxes, profile_name="p")
    assert str(boxes) in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naev_hostile_sample", "oolite_red_sample"])
def test_profile_of_a_sample_holds_on_its_other_frames(name: str) -> None:
    """Learned from three boxes of real footage; scored on every checked row of the sample."""
    video = SAMPLES / f"{name}.mp4"
    truth = read_truth(SAMPLES / "truth.csv")
    truth = truth[truth["clip"].eq(video.name) & truth["label"].isin(("designator", "none"))]
    boxes = truth.set_index("frame_index")[["x1", "y1", "x2", "y2"]].astype(float)
    images = {frame.index: frame.rgb() for frame in read_frames(video, set(boxes.index))}
    shown = boxes.dropna()
    examples = [Example(int(i), images[i], box.to_numpy()) for i, box in shown.iloc[:3].iterrows()]
    detector = Bracket(Profile(name="p", designators=(learn(examples, "mark", "ship"),)))
    for frame_index, box in boxes.iterrows():
        found = detector.detect([images[frame_index]])[0]
        sure = found.xyxy[confidences(found) >= 0.5]
        assert len(sure) == int(box.notna().all()), frame_index
        if len(sure):
            assert sv.box_iou_batch(box.to_numpy()[None], sure)[0, 0] >= 0.85, frame_index
