"""Propagate masks through the shots of a video and rate each mask in every frame.

An object starts at its most trusted frame: a human's points, or the mask of a detection. From there it is
tracked forward to the end of the shot; then backward from every frame in which it started, as long as the
forward pass has no mask of it. Quality gates (gates.py) check every observation of the propagator. When a
mask is in doubt, the next trusted detection prompts the object again; without one for some time the object is
dropped rather than guessed. It starts again at its next trusted detection, and keeps its name only if it
looks the same. Nothing is propagated across a scene jump.

The masks of a whole video are rows of a table. Only one frame is held in memory in the forward pass, and a
few in the backward pass. Each finished chunk is stored in a folder, the last one with the propagator's
memory, so an interrupted run resumes there with identical results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gotowce_dagster.config.params import PropagationParams
from gotowce_dagster.core.files import fresh_dir, remove
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import PROPAGATED, empty, read_table, records, write_table
from gotowce_dagster.propagation.base import Propagator
from gotowce_dagster.propagation.evidence import Evidence
from gotowce_dagster.propagation.follow import Covered, Pass, Row, Tracker
from gotowce_dagster.video.decode import read_frames

_MEMORY = "memory"


def propagate(
    path: Path,
    visits: pd.DataFrame,
    evidence: Evidence,
    propagator: Propagator,
    *,
    params: PropagationParams,
    work: Path,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Track every object through the frames of a video, forward and then backward.

    Args:
        path: the video.
        visits: the frames to visit, ascending, with frame_index and shot; must include the frames with
            points.
        work: an existing folder for finished chunks; the same inputs must get the same folder again.

    Returns:
        Rows of tables.PROPAGATED: one per frame for each object tracked in it, also where it is lost.

    Raises:
        InputError: the video cannot be read.
    """
    shots = [
        _Shot(path, rows, evidence, propagator, params, work)
        for _, rows in visits.groupby("shot")
        if evidence.starts(rows["frame_index"])
    ]
    total = 2 * sum(len(shot.visits) for shot in shots)
    parts, done = [empty(PROPAGATED)], 0
    progress(done, total)
    for shot in shots:
        for rows, frames in shot.both_passes():
            parts.append(rows)
            done += frames
            progress(done, total)
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    # An object lost in the forward pass may be found in the backward pass.
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

    def both_passes(self) -> Iterator[tuple[pd.DataFrame, int]]:
        """Yield for each chunk its rows of tables.PROPAGATED and its number of frames."""
        tracker = Tracker(self.path, self.evidence, self.propagator, self.params)
        frames = self.visits["frame_index"].tolist()
        current = Pass(reverse=False, starts=self.evidence.starts(self.visits["frame_index"]))
        covered: dict[int, dict[str, Row]] = {}
        for reverse in (False, True):
            if reverse:
                current = Pass(reverse=True, names=current.names, starts=current.starts)
            order = frames[::-1] if reverse else frames
            for number, start in enumerate(range(0, len(order), self.params.chunk)):
                chunk = order[start : start + self.params.chunk]
                direction = "backward" if reverse else "forward"
                done = self.work / f"{self.visits['shot'].iloc[0]}_{direction}_{number}"
                if not done.exists():
                    if not reverse and number == 0:
                        self._begin(frames)
                    self._run_chunk(tracker, current, chunk, covered, done)
                elif (done / _MEMORY).exists():  # only the last finished chunk has it
                    self.propagator.load(done / _MEMORY)
                current = Pass.model_validate_json((done / "pass.json").read_text(encoding="utf-8"))
                rows = read_table(done / "rows.parquet", PROPAGATED)
                yield rows, len(chunk)
                if not reverse:
                    for row in records(rows[rows["rle"].notna()]):
                        covered.setdefault(row["frame_index"], {})[row["object_id"]] = row

    def _begin(self, frames: list[int]) -> None:
        """Prompt with a human's points in all frames before tracking, as SAM 2's own predictor expects."""
        self.propagator.begin()
        ahead = set(self.evidence.points) & set(frames)
        for frame in read_frames(self.path, ahead) if ahead else ():
            self.propagator.prompt(frame.index, frame.rgb(), self.evidence.point_prompts(frame.index))

    def _run_chunk(
        self, tracker: Tracker, current: Pass, chunk: list[int], covered: Covered, done: Path
    ) -> None:
        tracker.resume(current, covered)
        rows = [row for frame in tracker.frames(chunk) for row in tracker.visit(frame)]
        with fresh_dir(done) as new:
            write_table(pd.DataFrame(rows) if rows else empty(PROPAGATED), PROPAGATED, new / "rows.parquet")
            (new / "pass.json").write_text(current.model_dump_json(), encoding="utf-8")
            self.propagator.save(new / _MEMORY)
        for old in set(self.work.glob(f"*/{_MEMORY}")) - {done / _MEMORY}:
            remove(old)
