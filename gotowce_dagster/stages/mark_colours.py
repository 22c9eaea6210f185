"""Study: which colours the marks have, and the threshold that separates them from the background."""

import numpy as np

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import DETECTIONS, read_table
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.studies.mark_colours import (
    ALL,
    Counts,
    count,
    movement,
    percentile_table,
    pooled,
    threshold_table,
)
from gotowce_dagster.studies.mark_colours_report import (
    PERCENTILES,
    PICTURE,
    REPORT,
    THRESHOLDS,
    histogram_figure,
    masked,
    report,
    threshold_of,
)
from gotowce_dagster.video.decode import read_frames

NAME = "mark_colours"
Key = tuple[str, str, str]


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/mark_colours: percentiles.csv, thresholds.csv, masked.png and report.html.

    Raises:
        InputError: a video, its profile or its detections cannot be read, or a video is not pulled.
    """
    project.require_raw()
    params = project.params.mark_colours
    groups, shown = _measured(project, progress)
    percentiles, thresholds = percentile_table(groups, params.percentiles), threshold_table(groups)
    best = {
        (row["profile"], row["designator"]): threshold_of(row)
        for _, row in thresholds[thresholds["video"] == ALL]
        .groupby(["profile", "designator"])
        .head(1)
        .iterrows()
    }
    pictures, captions = [], []
    for (profile, name, video), (index, image) in shown.items():
        if (threshold := best.get((profile, name))) is not None:
            pictures += [image, masked(image, threshold)]
            captions += [f"{video} frame {index}", f"{name}: {threshold}"]
    figures = [
        ("", histogram_figure(f"{name} ({profile})", counts, best[profile, name]))
        for (profile, name, video), counts in pooled(groups).items()
        if video == ALL and (profile, name) in best
    ]
    with fresh_dir(project.paths.study(NAME)) as new:
        percentiles.to_csv(new / PERCENTILES, index=False)
        thresholds.to_csv(new / THRESHOLDS, index=False)
        sheet = contact_sheet(pictures, captions, columns=2, tile_width=620)
        write_picture(sheet, new / PICTURE)
        page = report(percentiles, thresholds, movement(thresholds), sheet, figures)
        (new / REPORT).write_text(page, encoding="utf-8")


def _measured(
    project: Project, progress: Progress
) -> tuple[dict[Key, Counts], dict[Key, tuple[int, np.ndarray]]]:
    """Counts by profile, designator and video, and of each a frame that shows one."""
    params, chosen = project.params.mark_colours, {}
    for video in project.videos:
        detections = read_table(project.paths.detections(video), DETECTIONS)
        indices = np.unique(detections["frame_index"])
        chosen[video] = detections, indices[evenly(len(indices), params.frames)].tolist()
    total = sum(len(indices) for _, indices in chosen.values())
    groups, shown, done = dict[Key, Counts](), dict[Key, tuple[int, np.ndarray]](), 0
    progress(0, total)
    for video, (detections, indices) in chosen.items():
        profile_name = project.video(video).profile
        profile = read_profile(project.paths.profile(profile_name))
        by_frame = dict(iter(detections.groupby("frame_index")))
        for frame in read_frames(project.raw(video), indices) if indices else ():
            image = frame.rgb()
            for name, counts in count(image, by_frame[frame.index], profile, params.background_px).items():
                key = (profile_name, name, video)
                groups[key] = groups[key] + counts if key in groups else counts
                shown.setdefault(key, (frame.index, image))
            done += 1
            progress(done, total)
    return groups, shown
