import sys
from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.cli.main import main
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import LABELS, MASKS, empty, read_table, write_table
from gotowce_dagster.designators.profile import Profile, write_profile
from gotowce_dagster.previews.found_nothing import found_nothing
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import yolo_dataset
from tests.worlds import make_world

SHOWN = ["hostile", None] * 20


@pytest.fixture
def project(tmp_path: Path) -> Project:
    world = make_world(tmp_path, {"duel": SHOWN, "calm": [None] * 6})
    world.paths.profiles.mkdir(exist_ok=True)
    write_profile(Profile(name="none"), world.paths.profile("none"))
    return world


@pytest.mark.parametrize("stage", ["designator_detections", "masks", "cleaned_labels"])
def test_a_stage_that_found_something_is_not_warned_of(project: Project, stage: str) -> None:
    assert found_nothing(project, stage, "duel") is None


@pytest.mark.parametrize(
    ("stage", "warning"),
    [
        (
            "designator_detections",
            "calm: no designator found in any of 6 frames by bracket (bracket) with the profile none (which "
            "describes no designator). This is correct only if",
        ),
        ("masks", "calm: no mask, because no designator was found"),
        ("cleaned_labels", "calm: no label, because no designator was found"),
    ],
)
def test_a_video_without_targets_is_reported_with_its_detectors(
    project: Project, stage: str, warning: str
) -> None:
    assert str(found_nothing(project, stage, "calm")).startswith(warning)
    assert preview_of(project, stage, "calm").notes[0].startswith(warning)


def test_designators_without_a_mask(project: Project) -> None:
    write_table(empty(MASKS), MASKS, project.paths.masks("duel"))
    warning = found_nothing(project, "masks", "duel")
    assert warning is not None
    assert warning.startswith("duel: no mask in any of 20 designators by grabcut")


def test_labels_that_are_all_refused(project: Project) -> None:
    labels = read_table(project.paths.labels("duel"), LABELS)
    labels["reasons"] = pd.Series([["inside"]] * 19 + [["size"]])
    write_table(labels.assign(verdict=["reject"] * 18 + ["review"] * 2), LABELS, project.paths.labels("duel"))
    warning = found_nothing(project, "cleaned_labels", "duel")
    assert warning is not None
    assert warning.startswith(
        "duel: none of 20 labels was accepted, most often because of inside (19), size (1)"
    )
    assert "2 need review" in warning


@pytest.mark.parametrize("json", [False, True])
def test_the_command_warns_on_standard_error_and_ends_well(
    project: Project, json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(project.paths.root))
    for video, is_warned in (("calm", True), ("duel", False)):
        words = ["gotowce", "stage", "cleaned_labels", video, *(["--json"] if json else [])]
        monkeypatch.setattr(sys, "argv", words)
        try:
            main()
        except SystemExit as end:
            assert not end.code
        printed = capsys.readouterr()
        assert ("WARNING: calm: no label" in printed.err) is is_warned


def test_videos_without_an_object_in_the_dataset(project: Project) -> None:
    yolo_dataset.run(project, lambda done, total: None)
    warning = found_nothing(project, "yolo_dataset", None)
    assert warning is not None
    assert warning.startswith("the dataset contains no object of calm")
