from pathlib import Path

import pytest
import yaml

from gotowce_dagster.config.params import read_params
from gotowce_dagster.core.errors import InputError
from tests.worlds import ROOT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("review_tasks", "review.tasks"),
        ("reviewed_labels", "review.audit"),
        ("review_assist", "review.assist"),
        ("review_video", "review.video"),
        ("reviews", "review.sensor"),
    ],
)
def test_a_section_that_moved_is_refused_by_its_old_name(tmp_path: Path, old: str, new: str) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params[old] = params["review"].pop(new.partition(".")[2])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(InputError, match=f"{old} is now {new}"):
        read_params(tmp_path / "params.yaml")
