"""Study: accuracy and cost of all configured detectors and segmenters on the same frames."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from gotowce_dagster.comparison.compare import compare
from gotowce_dagster.comparison.contenders import detectors, segmenter
from gotowce_dagster.comparison.footage import Footage, sample
from gotowce_dagster.comparison.study import write_study
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import read_truth
from gotowce_dagster.video.decode import probe

NAME = "detector_comparison"


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/detector_comparison: tables, all boxes, a scatter and report.html.

    Raises:
        InputError: a video or its truth cannot be read or is not pulled, or there is no video.
    """
    project.require_raw()
    params = project.params.detector_comparison
    contenders = [
        *detectors(list(params.detectors), params.detectors, params),
        *(segmenter(engine, project.params.masks) for engine in params.segmenters),
    ]
    footage = [_footage(project, video) for video in project.videos]
    with TemporaryDirectory(prefix="gotowce_") as folder:
        chosen = sample(footage, params.frames, Path(folder) / "frames")
        start = _one_bar(progress, sum(contender.obstacle is None for contender in contenders))
        result = compare(contenders, chosen, params, Path(folder), start)
        write_study(result, params, project.paths.study(NAME))


def _footage(project: Project, video: str) -> Footage:
    truth = project.paths.truth(video)
    profile = project.paths.profile(project.video(video).profile)
    rows = read_truth(truth, probe(project.raw(video))) if truth.exists() else None
    return Footage(video, project.raw(video), profile, rows)


def _one_bar(progress: Progress, contenders: int) -> Callable[[str], Progress]:
    """Combine the progress of all contenders into one, in hundredths of a contender."""
    places = count()

    def start(name: str) -> Progress:
        place = next(places)
        return lambda done, total: progress(100 * place + 100 * done // max(total, 1), 100 * contenders)

    return start
