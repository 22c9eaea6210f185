"""Stage 8: evaluate detections, labels and the model; write metrics, plots and a report."""

import json

import cv2

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.evaluation.find import find
from gotowce_dagster.evaluation.findings import plots
from gotowce_dagster.evaluation.measures import MEASURES
from gotowce_dagster.evaluation.report import report
from gotowce_dagster.review.measures import reviewed_so_far


def run(project: Project, progress: Progress) -> None:
    """Evaluate; write metrics.json, notes.json, plots/ and report.html.

    Raises:
        InputError: there is no dataset or no model, or a video or a file of reviews is not pulled.
    """
    project.require_raw()
    confidence = project.params.evaluation.confidence
    findings = find(project, progress)
    scored = {name: findings.scored(name, confidence) for name in MEASURES}
    metrics = {
        name: groups["all"]
        | {"truth": findings.truth(name)}
        | {"by_video": {video: some for video, some in groups.items() if video != "all"}}
        for name, groups in scored.items()
        if groups
    }
    reviewed = reviewed_so_far(project.paths, project.videos, project.params)
    reviews = {"review": reviewed} if reviewed["frames_reviewed"] else {}
    recalls = {"recalls": {"truth": findings.recalls_of, **findings.recalls}}
    threshold = {"threshold": findings.threshold.as_json()} if findings.threshold else {}
    with fresh_dir(project.paths.evaluation) as new:
        written = json.dumps(recalls | threshold | metrics | reviews, indent=1)
        (new / "metrics.json").write_text(written + "\n", encoding="utf-8")
        (new / "notes.json").write_text(json.dumps([*findings.notes, *findings.missing()], indent=1), "utf-8")
        (new / "plots").mkdir()
        drawn = plots(findings, scored)
        for name, picture in drawn.items():
            cv2.imwrite(str(new / "plots" / f"{name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        (new / "report.html").write_text(report(project, findings, scored, drawn, reviewed), encoding="utf-8")
