"""`gotowce compare`: detectors on any video files, accuracy beside cost."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError

_COLUMNS = {
    "status": "",
    "truth": "finds",
    "f1_50": "F1",
    "median_s": "s a frame",
    "memory_mb": "MB",
}
_OF_SERVERS = {"money_per_1000": "$ for 1,000", "invalid_share": "bad answers", "retries": "retries"}
"""Shown where anything has them."""


def compare(
    videos: Annotated[list[str], typer.Argument(help="Video files, or keys of videos that were added.")],
    *,
    truth: Annotated[
        Path | None, typer.Option(help="CSV of hand-checked boxes; without, detectors are held together.")
    ] = None,
    detectors: Annotated[
        str | None,
        typer.Option(
            help="Names in params.yaml, kinds, or KIND:WEIGHTS, with commas between; `all` for all there "
            "are. Default: those of the stage detector_comparison."
        ),
    ] = None,
    segmenters: Annotated[
        str, typer.Option(help="Segmenters too, NAME or NAME:WEIGHTS: told the known designators.")
    ] = "",
    profile: Annotated[
        Path | None, typer.Option(help="The designators' profile; default: the one that claims the video.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to; made anew.")] = Path("comparison"),
    frames: Annotated[int | None, typer.Option(min=1, help="How many, over all videos.")] = None,
    budget_frames: Annotated[
        int | None, typer.Option(min=1, help="Tell the hours and the money that so many frames would take.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send frames to servers, and pay for it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Run detectors on the same frames of any videos, each in a fresh process: how good, and at what cost."""
    from gotowce_dagster.comparison.compare import compare as run
    from gotowce_dagster.comparison.contenders import detectors as named
    from gotowce_dagster.comparison.contenders import segmenter
    from gotowce_dagster.comparison.footage import sample
    from gotowce_dagster.comparison.study import PAGE, write_study

    project = Project.find()
    params = project.params.detector_comparison
    wanted = {"frames": frames, "budget_frames": budget_frames}
    params = params.model_copy(update={name: n for name, n in wanted.items() if n is not None})
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
    console.say("The report: ", console.bold(page))


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


def _footage(project: Project, video: str, truth: Path | None, profile: Path | None):
    from gotowce_dagster.comparison.footage import Footage
    from gotowce_dagster.core.tables import read_truth
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
    told = profile or project.paths.profile(profile_of(project.paths, key))
    return Footage(key, path, told, rows)


def _refuse_other_folders(out: Path) -> None:
    """The folder is replaced as a whole, so it must be an earlier comparison, or empty, or new."""
    from gotowce_dagster.comparison.study import PARQUET

    if out.exists() and not (out.is_dir() and ((out / PARQUET).exists() or not any(out.iterdir()))):
        raise InputError(f"{out}: holds something else than a comparison; give another folder with --out")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
