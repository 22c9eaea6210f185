"""Study: accuracy and cost of all configured detectors and segmenters on the same frames."""

from pathlib import Path
from tempfile import TemporaryDirectory

from gotowce_dagster.comparison.compare import compare
from gotowce_dagster.comparison.contenders import detectors, segmenter
from gotowce_dagster.comparison.footage import sample
from gotowce_dagster.comparison.project_footage import with_truth
from gotowce_dagster.comparison.study import write_study
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import Progress, in_one_bar, silent

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
    with TemporaryDirectory(prefix="gotowce_") as folder:
        chosen = sample(with_truth(project), params.frames, Path(folder) / "frames")
        start = in_one_bar(progress, sum(contender.obstacle is None for contender in contenders))
        result = compare(contenders, chosen, params, Path(folder), start)
        write_study(result, params, project.paths.study(NAME))
