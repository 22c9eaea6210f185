"""`gotowce ask`: ask a model a question about frames."""

from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError


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
    frames: Annotated[str, typer.Option(help="Frame numbers, for example 62,187.")] = "0",
    yes: Annotated[
        bool, typer.Option("--yes", help="Send frames to a hosted model, which may cost money.")
    ] = False,
    json: Json = False,
) -> None:
    """Ask a model about whole frames: a caption, an answer, a count or points, depending on the model."""
    from gotowce_dagster.cli.arguments import known_detectors, numbers, video_file
    from gotowce_dagster.designators.profile import Profile
    from gotowce_dagster.detectors.ask import Way
    from gotowce_dagster.detectors.ask import ask as put
    from gotowce_dagster.detectors.detect import bill, bill_in_words
    from gotowce_dagster.detectors.registry import build_detector, settings_of
    from gotowce_dagster.video.decode import read_frames

    questions: dict[Way, str | None] = {"query": question, "count": count, "point": point}
    asked: list[tuple[Way, str | None]] = [pair for pair in questions.items() if pair[1] is not None]
    if len(asked) > 1:
        raise InputError("give only one of --question, --count and --point")
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
    answers = dict(zip(images, put(chosen, list(images.values()), way, words), strict=True))
    if json:
        console.show_json({"answers": answers, "bill": bill(chosen.cost)})
        return
    for index, answer in answers.items():
        console.out.print(f"frame {index}: {'no usable response' if answer is None else answer}")
    if chosen.cost.answers:
        console.err.print(bill_in_words(detector, bill(chosen.cost)), highlight=False)
