"""Carry masks through the shots of a video, knowing at every frame how far to trust each of them.

An object starts at its most trustworthy frame: a human's points, or the mask of a detection. From there it is
carried forward to the end of the shot; then backward, from every frame in which it was started, as far as no
frame has it yet. What the propagator gives is judged by gates (gates.py). In doubt, the next trusted
detection prompts anew; without one for some time the object is given up rather than guessed. It starts again
at its next trusted detection, under its old name only if it looks the same. After a jump of the picture
nothing is carried over.

Masks of a whole video are rows of a table; pixels are held of one frame going forward, of a few going
backward. Finished chunks lie in a folder, with all memory after the last one, so a killed run goes on there
with equal results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gotowce_dagster.config.params import PropagationParams
from gotowce_dagster.core.files import fresh_dir, remove
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import CARRIED, empty, read_table, write_table
from gotowce_dagster.propagation.base import Propagator
from gotowce_dagster.propagation.evidence import Evidence
from gotowce_dagster.propagation.follow import Covered, Follower, Row, Way
from gotowce_dagster.video.decode import read_frames

_MEMORY = "memory"


def carry(
    path: Path,
    visits: pd.DataFrame,
    evidence: Evidence,
    propagator: Propagator,
    *,
    params: PropagationParams,
    work: Path,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Follow every object through the frames of a video.

    Args:
        path: the video.
        visits: the frames to look at, rising: frame_index, time_s and shot. Those of points must be there.
        work: an existing folder for what is finished; the same inputs must find the same folder again.

    Returns:
        Rows of tables.CARRIED: one a frame for each object that is followed there, also where it is lost.

    Raises:
        InputError: the video cannot be read.
    """
    shots = [
        _Shot(path, rows, evidence, propagator, params, work)
        for _, rows in visits.groupby("shot")
        if evidence.starts(rows["frame_index"])
    ]
    total = 2 * sum(len(shot.visits) for shot in shots)
    parts, done = [empty(CARRIED)], 0
    progress(done, total)
    for shot in shots:
        for rows, frames in shot.there_and_back():
            parts.append(rows)
            done += frames
            progress(done, total)
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    # An object lost on the way there may be found on the way back.
    found_first = table.sort_values(["frame_index", "object_id", "rle"], na_position="last")
    return found_first.drop_duplicates(["frame_index", "object_id"], ignore_index=True)


@dataclass(frozen=True)
class _Shot:
    path: Path
    visits: pd.DataFrame
    evidence: Evidence
    propagator: Propagator
    params: PropagationParams
    work: Path

    def there_and_back(self) -> Iterator[tuple[pd.DataFrame, int]]:
        """Rows of tables.CARRIED and how many frames they took, chunk after chunk."""
        follower = Follower(self.path, self.evidence, self.propagator, self.params)
        frames = self.visits["frame_index"].tolist()
        way = Way(reverse=False, starts=self.evidence.starts(self.visits["frame_index"]))
        covered: dict[int, dict[str, Row]] = {}
        for reverse in (False, True):
            if reverse:
                way = Way(reverse=True, names=way.names, starts=way.starts)
            order = frames[::-1] if reverse else frames
            for number, start in enumerate(range(0, len(order), self.params.chunk)):
                chunk = order[start : start + self.params.chunk]
                done = self.work / f"{self.visits['shot'].iloc[0]}_{'back' if reverse else 'on'}_{number}"
                if not done.exists():
                    if not reverse and number == 0:
                        self._begin(frames)
                    self._follow(follower, way, chunk, covered, done)
                elif (done / _MEMORY).exists():  # only the last finished chunk has it
                    self.propagator.load(done / _MEMORY)
                way = Way.model_validate_json((done / "way.json").read_text(encoding="utf-8"))
                rows = read_table(done / "rows.parquet", CARRIED)
                yield rows, len(chunk)
                if not reverse:
                    for row in rows[rows["rle"].notna()].to_dict("records"):
                        covered.setdefault(row["frame_index"], {})[row["object_id"]] = row

    def _begin(self, frames: list[int]) -> None:
        """A human's points in all frames are told at the start, as to SAM 2's own predictor."""
        self.propagator.begin()
        ahead = set(self.evidence.points) & set(frames)
        for frame in read_frames(self.path, ahead) if ahead else ():
            self.propagator.prompt(frame.index, frame.rgb(), self.evidence.told(frame.index))

    def _follow(self, follower: Follower, way: Way, chunk: list[int], covered: Covered, done: Path) -> None:
        follower.take(way, covered)
        rows = [row for frame in follower.frames(chunk) for row in follower.visit(frame)]
        with fresh_dir(done) as new:
            write_table(pd.DataFrame(rows) if rows else empty(CARRIED), CARRIED, new / "rows.parquet")
            (new / "way.json").write_text(way.model_dump_json(), encoding="utf-8")
            self.propagator.save(new / _MEMORY)
        for old in set(self.work.glob(f"*/{_MEMORY}")) - {done / _MEMORY}:
            remove(old)
