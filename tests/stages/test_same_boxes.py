"""The stage sees what `gotowce detect` sees: the decoded video, not its JPEGs."""

import os
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, read_table, write_table
from gotowce_dagster.designators.calibrate import calibrate
from gotowce_dagster.designators.profile import Profile, read_profile, write_profile
from gotowce_dagster.detectors.detect import detect_frames, detect_video
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.labelling.images import decoded
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.stages import designator_detections, extracted_frames
from gotowce_dagster.video.decode import probe, read_frames
from tests.conftest import ROOT
from tests.support.synthetic import Bracket, Scene, Target, write_scene

pytestmark = pytest.mark.slow

SHARED = ROOT.parent / "shared"
STEP = int(os.environ.get("GOTOWCE_TEST_STEP", "40"))
"""Real footage is compared on every so many frames; 1 for all."""
MARK = Bracket((60, 220, 70), thickness=2, opacity=0.6, arm=0.2, min_side=34)
THIN = Scene((Target("cross", 20, (150, 120), (3, 1.6), 0.01, (150, 155, 165), MARK),), 60, size=(480, 320))


def project_of(root: Path, clip: Path, profile: Profile) -> Project:
    paths = Paths(root)
    paths.raw.mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", paths.params)
    shutil.copyfile(clip, paths.raw / "clip.mp4")
    write_profile(profile, paths.profile("mine"))
    paths.videos.write_text("videos:\n  clip: {file: clip.mp4, profile: mine}\n", encoding="utf-8")
    return Project(paths)


def largest_difference(stage: pd.DataFrame, video: pd.DataFrame) -> float:
    """In pixels over all boxes; infinite where one has a box more."""
    if stage["frame_index"].tolist() != video["frame_index"].tolist():
        return np.inf
    return float(np.abs(xyxy(stage) - xyxy(video)).max(initial=0))


CLIPS = {
    "footage/naev_hostile.mp4": "naev",
    "footage/naev_neutral.mp4": "naev",
    "footage/naev_negative.mp4": "naev",
    "footage/oolite_red.mp4": "oolite",
    "marks/engineer.mp4": "",
    "marks/vault.mp4": "",
    "marks/pointers.mp4": "",
}
"""With the profile of each, empty for the one that is calibrated here."""


@pytest.mark.parametrize("clip", CLIPS)
def test_a_frame_has_the_same_pixels_however_it_is_reached(clip: str) -> None:
    """By its number, as a stage reads it, and on the way through, as `gotowce detect` does."""
    if not (SHARED / clip).exists():
        pytest.skip(f"needs {SHARED / clip}")
    by_number = decoded(SHARED / clip)(range(3, probe(SHARED / clip).frames, 7))
    index, image = next(by_number)
    compared = 0
    for frame in islice(read_frames(SHARED / clip), 300):
        if frame.index == index:
            assert np.array_equal(frame.rgb(), image), f"frame {index}"
            compared += 1
            index, image = next(by_number, (-1, image))
    assert compared >= 19


@pytest.mark.parametrize(("clip", "profile"), CLIPS.items())
def test_boxes_of_real_footage(tmp_path: Path, clip: str, profile: str) -> None:
    if not (SHARED / clip).exists():
        pytest.skip(f"needs {SHARED / clip}")
    if profile:
        known = read_profile(ROOT / "data/profiles" / f"{profile}.toml")
    else:  # the thin green corners of one of these games; what it finds in the others does not matter here
        marks = SHARED / "marks"
        known = calibrate(marks / "engineer.mp4", marks / "engineer_boxes.csv", profile_name="green").profile
    project = project_of(tmp_path, SHARED / clip, known)
    frames = list(range(0, probe(project.raw("clip")).frames, STEP))
    index = pd.DataFrame({"frame_index": frames, "time_s": np.array(frames) / 20.0})
    index = index.assign(shot=0, sharpness=None, phash=None, kept=True, reason="", file="")
    write_table(index, FRAMES, project.paths.frame_index("clip"))
    designator_detections.run(project, "clip")
    stage = read_table(project.paths.detections("clip"), DETECTIONS)
    (detector,) = build_detectors(project.params.designator_detections.detectors, known)
    video = detect_video(project.raw("clip"), detector, frames).rows
    print(f"{clip}: {len(stage)} boxes in {len(frames)} frames")
    assert largest_difference(stage, video) <= 1


def test_thin_lines_keep_their_colour(tmp_path: Path) -> None:
    drawn, marked = tmp_path / "thin.mp4", tmp_path / "boxes.csv"
    truth = write_scene(drawn, THIN, crf=30).drop(columns="target")
    truth[truth["frame_index"] % 12 == 3].to_csv(marked, index=False)
    profile = calibrate(drawn, marked, profile_name="thin").profile
    project = project_of(tmp_path / "project", drawn, profile)
    project = Project(project.paths)
    text = project.paths.params.read_text(encoding="utf-8")
    project.paths.params.write_text(text.replace("fps: 2.0", "fps: 0", 1), encoding="utf-8")
    extracted_frames.run(project, "clip")
    designator_detections.run(project, "clip")
    stage = read_table(project.paths.detections("clip"), DETECTIONS)
    index = read_table(project.paths.frame_index("clip"), FRAMES)
    kept = index[index["kept"]]
    (detector,) = build_detectors(project.params.designator_detections.detectors, profile)
    video = detect_video(project.raw("clip"), detector, kept["frame_index"].tolist()).rows
    assert len(stage) >= 50
    assert largest_difference(stage, video) <= 1

    folder = project.paths.frames("clip")
    stored = ((row.frame_index, read_rgb(folder / row.file)) for row in kept.itertuples())
    assert largest_difference(detect_frames("clip", stored, [detector]).rows, video) > 1, (
        "the JPEGs lose nothing here: the clip does not try what it should"
    )
