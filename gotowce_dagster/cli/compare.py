"""`gotowce compare`: accuracy and cost of detectors on any video files."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.core.errors import InputError

if TYPE_CHECKING:
    from gotowce_dagster.comparison.footage import Footage
    from gotowce_dagster.config.project import Project

_COLUMNS = {
    "status": "",
    "truth": "target",
    "f1_50": "F1",
    "median_s": "s per frame",
    "memory_mb": "MB",
}
_OF_SERVERS = {"money_per_1000": "$ per 1,000", "invalid_share": "unparseable", "retries": "retries"}
"""Columns shown only if any row has a value."""


def compare(
    videos: Annotated[list[str], typer.Argument(help="Video files, or keys of added videos.")],
    *,
    truth: Annotated[
        Path | None,
        typer.Option(help="CSV of ground truth; without it, see the detectors' agreement."),
    ] = None,
    detectors: Annotated[
        str | None,
        typer.Option(
            help="Names in params.yaml, kinds, or KIND:WEIGHTS, separated by commas; `all` for all available "
            "ones. Default: those of the stage detector_comparison."
        ),
    ] = None,
    segmenters: Annotated[
        str, typer.Option(help="NAME or NAME:WEIGHTS, prompted with ground-truth designators.")
    ] = "",
    profile: Annotated[
        Path | None, typer.Option(help="Designator profile; default: the one that matches the video.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder; it is replaced.")] = Path("comparison"),
    frames: Annotated[
        int | None, typer.Option(min=1, help="Total number of frames, over all videos.")
    ] = None,
    budget_frames: Annotated[
        int | None, typer.Option(min=1, help="Estimate hours and money for this many frames.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send frames to hosted models, which may cost money.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare detectors on the same frames of any videos, each in its own process: accuracy and cost."""
    from gotowce_dagster.comparison.compare import compare as run
    from gotowce_dagster.comparison.contenders import detectors as named
    from gotowce_dagster.comparison.contenders import segmenter
    from gotowce_dagster.comparison.footage import sample
    from gotowce_dagster.comparison.study import PAGE, write_study
    from gotowce_dagster.config.project import Project

    project = Project.find()
    params = project.params.detector_comparison
    overrides = {"frames": frames, "budget_frames": budget_frames}
    params = params.model_copy(update={name: n for name, n in overrides.items() if n is not None})
    known = project.params.designator_detections.detectors | params.detectors
    names = list(params.detectors) if detectors is None else _words(detectors)
    contenders = [
        *named(names, known, params, send=yes),
        *(segmenter(engine, project.params.masks) for engine in _words(segmenters)),
    ]
    if not contenders:
        raise InputError("nothing to compare: name detectors with --detectors, or give `all`")
    _refuse_other_folders(out)
    footage = [_footage(project, video, truth, profile) for video in videos]
    with TemporaryDirectory(prefix="gotowce_") as folder, console.progress_bars() as start:
        chosen = sample(footage, params.frames, Path(folder) / "frames", start("frames"))
        result = run(contenders, chosen, params, Path(folder), start)
        write_study(result, params, out)
    page = out / PAGE
    rows = result.table.astype(object).where(result.table.notna(), None).to_dict("records")
    if json:
        agreement = result.agreement.astype(object).where(result.agreement.notna(), None).to_dict()
        console.show_json(
            {"report": page, "detectors": rows, "agreement": agreement, "notes": result.sample.notes}
        )
        return
    _show(rows, params.budget_frames)
    for note in result.sample.notes:
        console.note(note)
    console.say("Report: ", console.bold(page))


def _show(rows: list[dict], budget_frames: int) -> None:
    shown = (
        _COLUMNS
        | {"budget_hours": f"h for {budget_frames:,}"}
        | {name: head for name, head in _OF_SERVERS.items() if any(row[name] for row in rows)}
    )
    cells = (
        [row["name"], *("–" if row[name] is None else console.number(row[name]) for name in shown)]
        for row in rows
    )
    console.show_table("Compared", ["", *shown.values()], cells)
    for row in rows:
        if row["reason"]:
            console.note(f"{row['name']}: {row['status']}:", f" {row['reason']}")


def _footage(project: "Project", video: str, truth: Path | None, profile: Path | None) -> "Footage":
    from gotowce_dagster.comparison.footage import Footage
    from gotowce_dagster.core.truth import read_truth
    from gotowce_dagster.intake.videos import profile_of
    from gotowce_dagster.video.decode import probe
    from gotowce_dagster.video.names import key_and_suffix

    file = Path(video)
    key = key_and_suffix(file.name)[0] if file.exists() else video
    path = file if file.exists() else project.raw(video)
    own = project.paths.truth(key)
    rows = None
    if truth is not None:
        rows = read_truth(truth, probe(path), {path.name})
        rows = rows[rows["clip"] == path.name]
    elif own.exists() and not file.exists():
        rows = read_truth(own, probe(path))
    profile_file = profile or project.paths.profile(profile_of(project.paths, key))
    return Footage(key, path, profile_file, rows)


def _refuse_other_folders(out: Path) -> None:
    """Refuse to replace a folder that is neither new, nor empty, nor an earlier comparison."""
    from gotowce_dagster.comparison.study import PARQUET

    if out.exists() and not (out.is_dir() and ((out / PARQUET).exists() or not any(out.iterdir()))):
        raise InputError(f"{out}: is not the folder of a comparison; choose another folder with --out")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
