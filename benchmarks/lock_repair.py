"""Time of `gotowce repair` on a video's dvc.lock cut in half: python -m benchmarks.lock_repair 2 200

The videos are synthetic, as in bookkeeping.py: files of a few bytes, recorded as DVC does.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bookkeeping import ROOT, make
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import folder_of

_VIDEO = "video_0000"


def _timed(root: Path, what: str) -> None:
    lock = Paths(root).pipeline(_VIDEO) / "dvc.lock"
    whole = lock.read_text(encoding="utf-8")
    lock.write_text(whole[: len(whole) // 2], encoding="utf-8")
    wall, cpu = time.perf_counter(), time.process_time()
    repaired = DvcRepo(root).repair()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert repaired is not None
    assert lock.read_text(encoding="utf-8") == whole, "not what it was"
    counts = f"{len(repaired.kept)} kept, {len(repaired.from_copy)} from the copy"
    print(
        f"{what}: {wall:.1f} s ({cpu:.1f} s of CPU) for {len(whole) / 1e3:.0f} kB; stages: {counts}, "
        f"{len(repaired.from_run_cache)} from the run cache"
    )


def main() -> None:
    for videos in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "project")
            make(root, ROOT, videos)
            DvcRepo(root).lock_entries()
            _timed(root, f"{videos} videos, with a good copy")
            Paths(root).kept_lock(folder_of(_VIDEO)).unlink()
            _timed(root, f"{videos} videos, from the run cache alone")


if __name__ == "__main__":
    main()
