"""`gotowce detect`: boxes of designators in any video file."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def detect(
    video: Annotated[str, typer.Argument(help="Video file, or key of an added video.")],
    profile: Annotated[Path, typer.Option(help="Designator profile.")],
    out: Annotated[Path, typer.Option(help="Output CSV.")],
    detector: Annotated[str, typer.Option(help="Detector: a name in params.yaml, or a kind.")] = "bracket",
    frames: Annotated[str | None, typer.Option(help="Only these frames, for example 62,187.")] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Minimum confidence of a box; default: the detector's setting."),
    ] = None,
    json: Json = False,
) -> None:
    """Detect designators in all or some frames of any video file, and write a CSV of boxes."""
    from gotowce_dagster.cli.arguments import known_detectors, numbers, video_file
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.designators.profile import read_profile
    from gotowce_dagster.detectors.detect import bill_in_words, detect_video
    from gotowce_dagster.detectors.registry import build_detector, settings_of

    path, wanted = video_file(video), numbers(frames) if frames is not None else None
    settings = settings_of(detector, known_detectors())
    if min_confidence is not None:
        settings = settings.model_copy(update={"min_confidence": min_confidence})
    chosen = build_detector(detector, settings, read_profile(profile))
    with console.progress_bars() as start:
        detected = detect_video(path, chosen, wanted, progress=start(f"{detector} {path.name}"))
    rows = detected.rows
    with fresh_file(out) as new:
        rows.to_csv(new, index=False, lineterminator="\n")
    found = {"boxes": len(rows), "frames_with_boxes": int(rows["frame_index"].nunique()), "out": str(out)}
    if json:
        console.show_json({**found, "notes": detected.notes()})
        return
    for index, silent in detected.unanswered.items():
        why = "; ".join(silent.values())
        console.note(f"no usable response for frame {index}:", f" {why}")
    for name, bill in detected.bills.items():
        console.err.print(bill_in_words(name, bill), highlight=False)
    console.say(f"{found['boxes']} boxes in {found['frames_with_boxes']} frames: {out}")
