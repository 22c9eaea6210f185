"""`gotowce ask`: ask a model a question about frames."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from gotowce_dagster.detectors.ask import Answer

_SUFFIXES = (".png", ".jpg", ".jpeg", ".html")


def ask(
    video: Annotated[str, typer.Argument(help="Video file, or key of an added video.")],
    detector: Annotated[str, typer.Option(help="Detector: a name in params.yaml, or a kind.")],
    question: Annotated[
        str | None, typer.Option(help="Free-form question; default: describe the frames.")
    ] = None,
    count: Annotated[
        str | None, typer.Option(help="Count these objects, for example `red brackets`.")
    ] = None,
    point: Annotated[str | None, typer.Option(help="Return a point on each of these objects.")] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="Find boxes of the detector's own phrases.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Draw the boxes or points: a picture (.png, .jpg) or a page with tables (.html)."),
    ] = None,
    frames: Annotated[str, typer.Option(help="Frame numbers, for example 62,187.")] = "0",
    yes: Annotated[
        bool, typer.Option("--yes", help="Send frames to a hosted model, which may cost money.")
    ] = False,
    json: Json = False,
) -> None:
    """Ask a model about whole frames: for a caption, an answer, a count, points or boxes."""
    from gotowce_dagster.cli.arguments import known_detectors, numbers, video_file
    from gotowce_dagster.designators.profile import Profile
    from gotowce_dagster.detectors.ask import Way, has_places, plain
    from gotowce_dagster.detectors.ask import ask as put
    from gotowce_dagster.detectors.ask_page import lines_of, text_of
    from gotowce_dagster.detectors.detect import bill, bill_in_words
    from gotowce_dagster.detectors.registry import build_detector, settings_of
    from gotowce_dagster.video.decode import read_frames

    questions: dict[Way, str | None] = {"query": question, "count": count, "point": point}
    asked: list[tuple[Way, str | None]] = [pair for pair in questions.items() if pair[1] is not None]
    if boxes:
        asked.append(("boxes", None))
    if len(asked) > 1:
        raise InputError("give only one of --question, --count and --point, or --boxes")
    if out is not None and out.suffix.lower() not in _SUFFIXES:
        raise InputError(f"--out: expected a file ending in {', '.join(_SUFFIXES)}, got {out}")
    wanted = numbers(frames)
    way, words = asked[0] if asked else ("describe", None)
    images = {frame.index: frame.rgb() for frame in read_frames(video_file(video), wanted)}
    if missing := sorted(set(wanted) - set(images)):
        raise InputError(f"{video}: has no readable frame {', '.join(map(str, missing))}")
    changes = {"input": None} | ({"send": True} if yes else {})
    settings = settings_of(detector, known_detectors())
    settings = settings.model_copy(
        update={k: v for k, v in changes.items() if k in type(settings).model_fields}
    )
    chosen = build_detector(detector, settings, Profile(name="none"))
    if out is not None and not has_places(chosen, way):
        raise InputError(f"--out: {detector} answers this without boxes or points; try --point or --boxes")
    answers = dict(zip(images, put(chosen, list(images.values()), way, words), strict=True))
    if out is not None:
        _write(out, f"{detector}: {video}", images, answers, words or "")
    if json:
        shown = {index: plain(answer) for index, answer in answers.items()}
        console.show_json({"answers": shown, "bill": bill(chosen.cost)} | ({"out": str(out)} if out else {}))
        return
    for index, answer in answers.items():
        console.say(f"frame {index}: {text_of(answer)}")
        for line in lines_of(answer, words or ""):
            console.say(f"  {line}")
    if out is not None:
        console.say(f"drawn: {out}")
    if chosen.cost.answers:
        console.err.print(bill_in_words(detector, bill(chosen.cost)), highlight=False)


def _write(
    out: Path, title: str, images: "dict[int, np.ndarray]", answers: "dict[int, Answer]", words: str
) -> None:
    """A page or a picture, by the suffix."""
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.detectors.ask_page import page, sheet
    from gotowce_dagster.pictures.write import write_picture

    if out.suffix.lower() == ".html":
        with fresh_file(out) as new:
            new.write_text(page(title, images, answers, words), encoding="utf-8")
    else:
        write_picture(sheet(images, answers, words), out)
