from pathlib import Path

import pytest

from tests.cli.running import run
from tests.intake.test_videos import film


def test_page_is_named_after_its_video_and_leaves_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one.mp4", "two.mp4"):
        assert run(monkeypatch, "mark", str(film(tmp_path / name)), "--count", "2") == 0
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert sorted(pages) == ["one.mark.html", "two.mark.html"]
    assert all(name.replace(".mark.html", ".mp4") in page for name, page in pages.items())
