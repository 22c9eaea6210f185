"""The study on two drawn videos: marks of a known colour, found by the bracket detector."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import DETECTIONS, write_table
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import mark_colours
from tests.conftest import ROOT
from tests.detectors.marks import PROFILE
from tests.support.synthetic import Scene, write_scene


def make(root: Path, **sections: Mapping[str, object]) -> Project:
    """A project of two drawn videos with detections in all frames of one, in none of the other."""
    paths = Paths(root)
    paths.raw.mkdir(parents=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, section in sections.items():
        params[name] |= section
    paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    write_profile(PROFILE, paths.profile("drawn"))
    videos = {name: {"file": f"{name}.mp4", "profile": "drawn"} for name in ("marked", "plain")}
    paths.videos.write_text(yaml.safe_dump({"videos": videos}), encoding="utf-8")
    paths.engines.write_text("masks: grabcut\n", encoding="utf-8")
    for name in videos:
        truth = write_scene(paths.raw / f"{name}.mp4", Scene(frames=6, size=(320, 240)))
        marks = truth[truth["label"] == "designator"] if name == "marked" else truth.iloc[:0]
        rows = marks[["frame_index", "x1", "y1", "x2", "y2"]].reset_index(drop=True)
        rows = rows.assign(
            video=name,
            detection_id=0,
            confidence=1.0,
            class_name="ship",
            detector="bracket",
            prompt=PROFILE.designators[0].name,
            visible_corners=4,
        )
        write_table(rows, DETECTIONS, paths.detections(name))
    return Project(paths)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make(tmp_path_factory.mktemp("coloured"), mark_colours={"frames": 3, "background_px": 5000})
    reports: list[tuple[int, int]] = []
    mark_colours.run(made, lambda *now: reports.append(now))
    assert reports[0] == (0, 3)
    assert reports[-1] == (3, 3)
    return made


def test_a_red_mark_is_separated_by_its_redness(project: Project) -> None:
    folder = project.paths.study("mark_colours")
    thresholds = pd.read_csv(folder / "thresholds.csv")
    best = thresholds[thresholds["video"] == "all recordings"].iloc[0]
    assert best["channel"] in {"red", "cr", "saturation", "hue"}
    assert best["score"] > 0.9
    assert set(thresholds["video"]) == {"all recordings", "marked"}
    percentiles = pd.read_csv(folder / "percentiles.csv")
    red = percentiles[(percentiles["channel"] == "red") & (percentiles["video"] == "marked")]
    high = dict(zip(red["of"], red["p90"], strict=True))
    assert high["mark"] > 150, "drawn with 210"
    assert high["mark"] > high["background"] + 50


def test_page_and_preview(project: Project) -> None:
    page = (project.paths.study("mark_colours") / "report.html").read_text(encoding="utf-8")
    assert "As a detector&#39;s input: threshold: {channel:" in page
    assert page.count("<img src=") == 2
    preview = preview_of(project, "mark_colours", None)
    assert preview.numbers["designators"] == 1
    assert preview.picture is not None
    assert "keeps" in preview.notes[0]
