from pathlib import Path

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.labels.reviews import ReviewedVideo, write_reviewed
from gotowce_dagster.review.pull import _pulled_tasks
from tests.review.frames import review, reviewed


def test_a_damaged_file_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_reviewed(
        paths.reviewed("duel"), ReviewedVideo(video="duel", frames=(reviewed(review(task="1/7@t")),))
    )
    paths.reviewed("broken").write_text("{")
    problems: list[str] = []
    assert _pulled_tasks(paths, problems) == {"1/7@t"}
    (problem,) = problems
    assert problem.startswith(f"{paths.reviewed('broken')}: not readable as reviews")
