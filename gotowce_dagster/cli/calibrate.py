"""`gotowce calibrate`: learn a designator from example boxes."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError


def calibrate(
    video: Annotated[
        list[str],
        typer.Argument(help="A video file or the key of one that was added; or several of one game."),
    ],
    boxes: Annotated[
        Path,
        typer.Option(
            help="CSV with 3 or more boxes labelled `designator` on these videos; boxes labelled `target` "
            "say where the target stands."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The profile; a designator is added to one that is there.")],
    designator: Annotated[str, typer.Option(help="What the mark is called.")] = "target",
    class_name: Annotated[str, typer.Option("--class", help="The class its target gets.")] = "target",
    json: Json = False,
) -> None:
    """Learn from example boxes what a game's designator looks like, and try it on unseen frames.

    Writes two pictures beside the profile: what was learned, and what was found in frames without a box.
    Nothing is saved of a mark that is then found in none of its own examples.
    """
    from gotowce_dagster.cli.arguments import video_file
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.safe_names import safe_name
    from gotowce_dagster.designators.calibrate import calibrate as learn
    from gotowce_dagster.designators.calibrated import calibration_picture, check_picture
    from gotowce_dagster.designators.profile import read_profile, write_profile
    from gotowce_dagster.intake import videos as intake
    from gotowce_dagster.pictures.write import write_picture

    try:
        safe_name(designator)
    except ValueError as error:
        raise InputError(f"--designator: {error}") from None
    into = read_profile(out) if out.exists() else None
    learned = learn(
        [video_file(each) for each in video],
        boxes,
        profile_name=out.stem,
        name=designator,
        class_name=class_name,
        into=into,
    )
    write_profile(learned.profile, out)
    picture = out.with_name(f"{out.stem}_{designator}.png")
    write_picture(calibration_picture(learned), picture)
    check = learned.check
    unseen = out.with_name(f"{out.stem}_{designator}_unseen.png") if check and check.frames else None
    if check and unseen:
        write_picture(check_picture(check, class_name), unseen)
    if out.resolve().parent.parts[-2:] == ("data", "profiles"):
        intake.sync(Project.find(out.parent))
    if json:
        console.show_json(
            learned.designator.model_dump(mode="json")
            | {
                "picture": picture,
                "unseen": unseen,
                "expectation": check.expectation if check else None,
                "proposed_frames": list(check.proposed) if check else [],
                "notes": learned.notes,
            }
        )
        return
    for note in learned.notes:
        console.note(note)
    console.say(console.bold(out), f" knows {designator}; look at {picture}")
    if check and unseen:
        console.say(f"{check.expectation}: {unseen}")
        if check.proposed:
            console.say(f"One more box would help most in frames {', '.join(map(str, check.proposed))}")
    console.say(f"Try it: gotowce detect {video[0]} --profile {out} --out boxes.csv")
