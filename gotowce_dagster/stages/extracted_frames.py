"""Stage 1: the sampled frames of a video as JPEGs, and an index with the reason why each was kept or not."""

import json
import logging
from dataclasses import asdict
from typing import Any

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, in_log, silent
from gotowce_dagster.core.tables import FLY_BYS, FRAMES, empty, write_table
from gotowce_dagster.video.decode import probe
from gotowce_dagster.video.extract import extract
from gotowce_dagster.video.fly_bys import find_fly_bys
from gotowce_dagster.video.packets import Losses

_log = logging.getLogger(__name__)


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/frames/VIDEO: JPEGs, index.parquet, fly_bys.parquet and video.json.

    A file that cannot be decoded at all gives an empty index and a reason in video.json, so that one bad
    video does not stop the others.

    Raises:
        InputError: there is no such video, or its file is missing or not pulled.
    """
    raw = project.raw(video)
    losses = Losses()
    with fresh_dir(project.paths.frames(video)) as folder:
        index, flying = empty(FRAMES), empty(FLY_BYS)
        about: dict[str, Any] = {}
        try:
            info = probe(raw)
        except InputError as error:
            about["error"] = str(error).replace(str(raw), raw.name)
        else:
            about |= asdict(info)
            index = extract(raw, folder, project.params.extracted_frames, losses, progress)
            kept = index.loc[index["kept"], "frame_index"].tolist()
            flying = find_fly_bys(raw, kept, in_log(_log, f"{video}: frames examined for what flies by"))
        write_table(index, FRAMES, folder / "index.parquet")
        write_table(flying, FLY_BYS, folder / "fly_bys.parquet")
        # The number of the decoder's errors depends on the timing of its threads; the set does not.
        about["lost"] = {"frames": losses.frames, **asdict(losses), "errors": sorted(losses.errors)}
        (folder / "video.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
