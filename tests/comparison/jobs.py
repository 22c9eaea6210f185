"""Jobs over pictures of nothing."""

from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.comparison.job import Job, Limits, Picture

MANY = Limits(max_batch=4, batch_s=60, memory_mb=1e6)
NONE = Limits(max_batch=0, batch_s=0, memory_mb=1e6)


def job(
    folder: Path,
    rogue: str,
    frames: int = 3,
    *,
    profiles: tuple[str, ...] = ("a",),
    limits: Limits = NONE,
    settings: dict | None = None,
) -> Job:
    """One rogue of tests.comparison.rogues, and so many frames for every profile."""
    pictures = []
    for profile in profiles:
        for index in range(frames):
            file = folder / f"{profile}{index}.png"
            cv2.imwrite(str(file), np.full((40, 60, 3), index, np.uint8))
            pictures.append(
                Picture(video=profile, frame_index=index, file=file, profile=Path(f"{profile}.toml"))
            )
    maker = f"tests.comparison.rogues:{rogue}"
    return Job(
        maker=maker, name=rogue, settings=settings or {}, by_profile=len(profiles) > 1,
        pictures=pictures, limits=limits,
    )  # fmt: skip
