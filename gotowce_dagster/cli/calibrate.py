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
        typer.Argument(help="Video files of one game, or keys of added videos."),
    ],
    boxes: Annotated[
        Path,
        typer.Option(
            help="CSV with at least 3 boxes labelled `designator` in these videos; optional boxes labelled "
            "`target` define the position of the target relative to the mark."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Profile to write; an existing one is extended.")],
    designator: Annotated[str, typer.Option(help="Name of the designator.")] = "target",
    class_name: Annotated[str, typer.Option("--class", help="Class of its targets.")] = "target",
    as_truth: Annotated[
        bool,
        typer.Option(
            "--as-truth", help="Keep the boxes as ground truth too; the videos must be in the project."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Learn a game's designator from example boxes, and validate it on unseen frames.

    Writes two pictures beside the profile: the learned mark, and detections in frames without a box.
    A designator that is not detected in any of its own examples is not saved.
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
    project = Project.find() if as_truth else None
    keys = [intake.key_of(project.paths, video_file(each)) for each in video] if project else []
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
    if project:
        for key in keys:
            intake.add_truth(project, key, boxes)
    if out.resolve().parent.parts[-2:] == ("data", "profiles"):
        intake.sync(Project.find(out.parent))
    if json:
        console.show_json(
            learned.designator.model_dump(mode="json")
            | {
                "picture": picture,
                "unseen": unseen,
                "expectation": check.expectation if check else None,
                "caution": check.caution if check else "",
                "proposed_frames": [{"clip": clip, "frame_index": index} for clip, index in check.proposed]
                if check
                else [],
                "notes": learned.notes,
            }
        )
        return
    for note in learned.notes:
        console.note(note)
    console.say(console.bold(out), f" now contains {designator}; check {picture}")
    if check and unseen:
        console.say(f"{check.expectation}: {unseen}")
        if check.caution:
            console.note(check.caution)
        for each in video:
            name = video_file(each).name
            if frames := ",".join(str(index) for clip, index in check.proposed if clip == name):
                console.say(f"Another box would help most in: gotowce mark {each} --frames {frames}")
    if keys:
        console.say(
            f"Kept as ground truth of {', '.join(keys)}; the profile was learned from these boxes, so its "
            "figures on them say little: add others with `gotowce add VIDEO --truth FILE`"
        )
    console.say(f"Try it: gotowce detect {video[0]} --profile {out} --out boxes.csv")
