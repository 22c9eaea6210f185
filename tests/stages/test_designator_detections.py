import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, read_table, write_table
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import designator_detections
from tests.detectors.marks import PROFILE, put_mark, sky
from tests.detectors.servers import Turn, boxes, serving
from tests.worlds import film

VIDEO = "drawn_one"
PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of six kept frames, marks in 0, 10, 20 and 30, and one that was not kept."""
    paths = Paths(tmp_path_factory.mktemp("made"))
    paths.params.write_text(PARAMS.read_text(encoding="utf-8"), encoding="utf-8")
    write_profile(PROFILE, paths.profile("drawn"))
    entry = {"videos": {VIDEO: {"file": f"{VIDEO}.mp4", "profile": "drawn"}}}
    paths.videos.write_text(yaml.safe_dump(entry), encoding="utf-8")
    paths.frames(VIDEO).mkdir(parents=True)
    rows, pictures = [], {}
    for number in range(6):
        image = sky(seed=number)
        if number < 4:
            put_mark(image, 50 + 40 * number, 60, 48)
        pictures[10 * number] = image
        name = f"{10 * number:06d}.jpg"
        cv2.imwrite(str(paths.frames(VIDEO) / name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        rows.append((10 * number, number / 2, 0, 50.0, "0" * 16, True, "", name))
    film(paths.raw / f"{VIDEO}.mp4", pictures)
    rows.append((60, 3.0, 0, 50.0, "0" * 16, False, "duplicate", ""))
    index = pd.DataFrame(rows, columns=FRAMES.names).astype({"shot": "int32", "sharpness": "float32"})
    write_table(index, FRAMES, paths.frame_index(VIDEO))
    return paths.root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    """A copy of that project."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return Project(Paths(tmp_path))


def test_kept_frames_give_a_table(project: Project) -> None:
    steps = []
    designator_detections.run(project, VIDEO, lambda *now: steps.append(now))
    rows = read_table(project.paths.detections(VIDEO), DETECTIONS)
    assert rows["frame_index"].tolist() == [0, 10, 20, 30]
    assert rows["x1"].to_numpy() == pytest.approx([50, 90, 130, 170], abs=1)
    assert set(rows["prompt"]) == {"target"}
    assert set(rows["class_name"]) == {"ship"}
    assert steps[-1] == (6, 6)


def test_unanswered_frames_differ_from_frames_without_a_designator(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(Turn(boxes())) as server:
        eye = {
            "kind": "hosted", "provider": "compatible", "model": "eye", "base_url": f"{server.address}/v1",
            "send": True, "requests_per_minute": None, "parallel": 1, "prompts": {"target": ["a bracket"]},
        }  # fmt: skip
        params = yaml.safe_load(project.paths.params.read_text(encoding="utf-8"))
        params["designator_detections"] |= {"detectors": {"eye": eye}}
        project.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
        seen = boxes(("a bracket", 50, 60, 98, 108, 0.9))
        server.turns.extend([Turn(seen), Turn(words="I would rather not."), Turn(boxes())])
        designator_detections.run(project, VIDEO)
    path = project.paths.detections(VIDEO)
    assert read_table(path, DETECTIONS)["frame_index"].tolist() == [0]
    assert read_detected(path).unanswered == {10: {"eye": "no JSON: a refusal or prose"}}
    preview = preview_of(project, "designator_detections", VIDEO)
    assert (preview.numbers["frames"], preview.numbers["frames_unanswered"]) == (6, 1)
    assert preview.notes == [
        "no usable response for 1 of 6 frames, which are excluded from the dataset; the first is frame 10: "
        "eye: no JSON: a refusal or prose",
        "eye: 6 answers, 1 of them invalid, 6,000 input and 600 output tokens, price unknown; "
        "cached answers are counted but not paid for again",
    ]
    assert preview.numbers["eye_tokens_in"] == 6000


def test_what_too_few_detectors_found_is_counted(project: Project) -> None:
    params = yaml.safe_load(project.paths.params.read_text(encoding="utf-8"))
    section = params["designator_detections"]
    section["detectors"] = {
        "whole": {"kind": "bracket"},
        "left": {"kind": "bracket", "input": {"crop": {"region": [0, 0, 0.2, 1]}}},
    }
    section["consensus"]["quorum"] = 2
    project.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    designator_detections.run(project, VIDEO)
    preview = preview_of(project, "designator_detections", VIDEO)
    assert (preview.numbers["detections"], preview.numbers["objects_short_of_quorum"]) == (2, 2)
    assert "were found by too few detectors for consensus.quorum" in preview.notes[0]


@pytest.mark.parametrize(
    "detector",
    [
        {"kind": "yolo", "weights": "data/model/best.pt"},
        {"kind": "yolo", "weights": "./data/model/best.pt"},
        {"kind": "bracket", "input": {"crop": {"around": {"kind": "yolo", "weights": "data/model/best.pt"}}}},
    ],
    ids=["as it is", "written otherwise", "looked around"],
)
def test_the_model_made_from_the_detections_makes_none_of_them(
    project: Project, detector: dict[str, object]
) -> None:
    params = yaml.safe_load(project.paths.params.read_text(encoding="utf-8"))
    params["detector_comparison"]["detectors"] = {"mine": detector}
    project.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    assert "mine" in Project(project.paths).params.detector_comparison.detectors
    params["designator_detections"]["detectors"] = {"mine": detector}
    project.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(InputError, match=r"mine: .*best\.pt is made from the detections.*copy it first"):
        designator_detections.run(Project(project.paths), VIDEO)


def test_same_frames_give_the_same_bytes(project: Project) -> None:
    designator_detections.run(project, VIDEO)
    first = project.paths.detections(VIDEO).read_bytes()
    designator_detections.run(project, VIDEO)
    assert project.paths.detections(VIDEO).read_bytes() == first


def test_preview_tells_how_often_one_was_found(project: Project) -> None:
    designator_detections.run(project, VIDEO)
    preview = preview_of(project, "designator_detections", VIDEO)
    assert preview.numbers["frames"] == 6
    assert preview.numbers["frames_with_designator"] == 4
    assert preview.numbers["target_detections"] == 4
    assert preview.numbers["detection_rate"] == pytest.approx(4 / 6)
    assert preview.picture is not None
    assert preview.picture.shape[1] > 1000
    assert preview.notes == []


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 half a picture", None])
def test_a_damaged_picture_is_noted_and_hides_no_designator(project: Project, content: bytes | None) -> None:
    picture = project.paths.frames(VIDEO) / "000010.jpg"
    if content is None:
        picture.unlink()
    else:
        picture.write_bytes(content)
    designator_detections.run(project, VIDEO)
    rows = read_table(project.paths.detections(VIDEO), DETECTIONS)
    assert rows["frame_index"].tolist() == [0, 10, 20, 30]
    preview = preview_of(project, "designator_detections", VIDEO)
    assert preview.numbers["frames"] == 6
    assert "000010.jpg is damaged" in preview.notes[0]


def test_a_frame_that_cannot_be_decoded_is_one_without_an_answer(project: Project) -> None:
    film(project.raw(VIDEO), {index: sky(seed=index) for index in (0, 35)})
    designator_detections.run(project, VIDEO)
    unanswered = read_detected(project.paths.detections(VIDEO)).unanswered
    assert unanswered == {index: {"video": "the frame cannot be decoded"} for index in (40, 50)}


def test_nothing_decoded_is_an_error(project: Project) -> None:
    index = read_table(project.paths.frame_index(VIDEO), FRAMES)
    moved = index.assign(frame_index=index["frame_index"] + 100)
    write_table(moved, FRAMES, project.paths.frame_index(VIDEO))
    with pytest.raises(InputError, match="none of its sampled frames can be decoded"):
        designator_detections.run(project, VIDEO)
    assert not project.paths.detections(VIDEO).exists()


def test_profile_without_designators_gives_an_empty_table(project: Project) -> None:
    write_profile(PROFILE.model_copy(update={"designators": ()}), project.paths.profile("drawn"))
    designator_detections.run(project, VIDEO)
    preview = preview_of(project, "designator_detections", VIDEO)
    assert preview.numbers["detections"] == 0
    assert preview.picture is not None


def test_missing_profile_is_named(project: Project) -> None:
    project.paths.profile("drawn").unlink()
    with pytest.raises(InputError, match=r"drawn\.toml: does not exist"):
        designator_detections.run(project, VIDEO)
