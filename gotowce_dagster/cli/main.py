"""Turn the designator a game draws around its target into a trained detector."""

# Thin: each command reads its arguments, calls one function and shows the result.

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gotowce_dagster.cli import console
from gotowce_dagster.cli.compare import compare
from gotowce_dagster.cli.review import review
from gotowce_dagster.cli.videos import remove, rename, restore
from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.config.project import Project, listed_videos
from gotowce_dagster.core.errors import (
    GotowceError,
    InputError,
    PartlyDoneError,
    one_sentence,
    system_sentence,
)
from gotowce_dagster.core.sources import not_pulled

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
app.add_typer(review, name="review")
app.command()(compare)
for verb in (rename, remove, restore):
    app.command()(verb)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Videos = Annotated[list[Path], typer.Argument(help="Video files.")]


@app.command()
def add(
    videos: Videos,
    link: Annotated[
        bool, typer.Option(help="Copy once, into DVC's cache, instead of twice; your file stays as it is.")
    ] = False,
    truth: Annotated[Path | None, typer.Option(help="CSV of hand-checked boxes, for evaluation.")] = None,
    json: Json = False,
) -> None:
    """Bring videos into the project: check, name, copy to data/raw, track with DVC."""
    from gotowce_dagster.intake import videos as intake

    project = Project.find()
    intake.check(project)
    keys, problems = {}, []
    with console.progress_bars() as start:
        show = start("adding")
        for done, video in enumerate(videos, start=1):
            try:
                keys[str(video)] = intake.add(project, video, link, truth)
            except (GotowceError, OSError) as error:
                problems.append(f"{video}: not added: {one_sentence(error, video)}")
            show(done, len(videos))
    try:
        notes = intake.sync(project)
    except PartlyDoneError as error:
        notes = []
        problems.append(str(error))
    known = listed_videos(project.paths)
    if json:
        console.show_json({"added": keys, "refused": problems, "notes": notes})
    for video, key in {} if json else keys.items():
        console.say(f"{video} is now {key}, profile {known[key].profile if key in known else 'none'}")
    for note in notes:
        console.note(note)
    if problems:
        raise InputError("; ".join(problems))


@app.command()
def sync(
    refresh: Annotated[bool, typer.Option("--refresh", help="Choose the engines anew.")] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Only write into dvc.yaml which source files each stage runs.")
    ] = False,
    json: Json = False,
) -> None:
    """Write data/videos.yaml and data/engines.yaml from what is here."""
    from gotowce_dagster.intake import videos as intake

    project = Project.find()
    if code:
        _sync_code(project, json)
        return
    notes = intake.sync(project, refresh)
    if json:
        videos = {k: v.model_dump() | {"state": project.raw_state(k)} for k, v in project.videos.items()}
        console.show_json({"videos": videos, "engines": project.engines, "notes": notes})
        return
    rows = ([k, v.file, v.profile, project.raw_state(k)] for k, v in project.videos.items())
    console.show_table("Videos", ["video", "file", "profile", "state"], rows)
    if problem := not_pulled(project.raw_path(key) for key in project.videos):
        console.note(problem)
    console.show_table("Engines", ["stage", "engine"], project.engines.items())
    for note in notes:
        console.note(note)


@app.command()
def repair(json: Json = False) -> None:
    """Make dvc.lock whole again after a kill or a full disk cut it short; add, sync and Dagster do it too."""
    from gotowce_dagster.intake.dvc_repo import DvcRepo

    done = DvcRepo(Project.find().paths.root).repair(run_cache=True)
    if json:
        console.show_json({"repaired": asdict(done) if done else None})
    elif done is None:  # what was done is a warning, shown already
        console.out.print("dvc.lock is whole: nothing to repair")


@app.command()
def doctor(json: Json = False) -> None:
    """Tell what can run on this machine, and for what cannot: why, and how to get it."""
    from gotowce_dagster.cli.doctor import diagnose

    findings = list(diagnose(Project.find()))
    if json:
        console.show_json([asdict(finding) for finding in findings])
        return
    yes, no = Text("yes", "green"), Text("no", "red")
    rows = ([yes if f.ok else no, f.what, f.says] for f in findings)
    console.show_table("What can run here", ["", "what", "says"], rows)


@app.command()
def trust(
    files: Annotated[list[Path], typer.Argument(help="Weights of others: a file, or a folder with code.")],
    yes: Annotated[bool, typer.Option("--yes", help="You have read the warning.")] = False,
    json: Json = False,
) -> None:
    """Vouch for weights that somebody made, so that models may be built from them; see SECURITY.md."""
    from gotowce_dagster.core.trust import TRUSTED, add

    root = Project.find().paths.root
    console.err.print(
        "[yellow]A file that holds a whole model decides which code runs when it is used, and a folder with "
        "code runs it. Trust only what you made, or what somebody you trust gave you over a way that others "
        f"cannot change. {TRUSTED} lets everybody who uses this project run it.[/]"
    )
    if not yes and not typer.confirm(f"Trust {', '.join(map(str, files))}?"):
        raise InputError("nothing was changed")
    added = [add(file, root) for file in files]
    if json:
        console.show_json([entry.model_dump() for entry in added])
        return
    for entry in added:
        console.out.print(f"{entry.file} is trusted, SHA-256 {entry.sha256}", markup=False, soft_wrap=True)
    console.out.print(f"Commit {TRUSTED}.", markup=False)


@app.command()
def mark(
    video: Annotated[str, typer.Argument(help="A video file, or the key of one that was added.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("mark.html"),
    count: Annotated[
        int, typer.Option("--count", min=1, max=60, help="How many frames, evenly spaced.")
    ] = 12,
) -> None:
    """Write a page to mark boxes on frames of a video; its button saves the CSV that calibrate reads."""
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.designators.marking import marking_page
    from gotowce_dagster.video.decode import probe, read_frames

    path = _video_file(video)
    frames = probe(path).frames
    wanted = {round((place + 0.5) * frames / count) for place in range(count)}
    page = marking_page(path.name, ((frame.index, frame.rgb()) for frame in read_frames(path, wanted)))
    with fresh_file(out) as new:
        new.write_text(page, encoding="utf-8")
    console.say(
        "Open ", console.bold(out), " in a browser, mark 5 boxes, save, then run `gotowce calibrate`."
    )


@app.command()
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
        [_video_file(each) for each in video],
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


@app.command()
def detect(
    video: Annotated[str, typer.Argument(help="A video file, or the key of one that was added.")],
    profile: Annotated[Path, typer.Option(help="The profile of its designators.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    detector: Annotated[
        str, typer.Option(help="Which detector: a name in params.yaml, or a kind.")
    ] = "bracket",
    frames: Annotated[str | None, typer.Option(help="Only these frames, for instance 62,187.")] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave out boxes below it; default: the detector's own."),
    ] = None,
    json: Json = False,
) -> None:
    """Detect designators in any video file, on every frame or those named, and write a CSV of boxes."""
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.designators.profile import read_profile
    from gotowce_dagster.detectors.detect import bill_in_words, detect_video
    from gotowce_dagster.detectors.registry import build_detector, settings_of

    path, wanted = _video_file(video), _numbers(frames) if frames is not None else None
    settings = settings_of(detector, _known_detectors())
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
        console.note(f"no usable answer about frame {index}:", f" {why}")
    for name, bill in detected.bills.items():
        console.err.print(bill_in_words(name, bill), highlight=False)
    console.say(f"{found['boxes']} boxes in {found['frames_with_boxes']} frames: {out}")


@app.command()
def ask(
    video: Annotated[str, typer.Argument(help="A video file, or the key of one that was added.")],
    detector: Annotated[str, typer.Option(help="Which detector: a name in params.yaml, or a kind.")],
    question: Annotated[str | None, typer.Option(help="Without any question: describe the frames.")] = None,
    count: Annotated[str | None, typer.Option(help="Count these, for instance `red brackets`.")] = None,
    point: Annotated[str | None, typer.Option(help="Point at these.")] = None,
    frames: Annotated[str, typer.Option(help="About these frames, for instance 62,187.")] = "0",
    yes: Annotated[bool, typer.Option("--yes", help="Send frames to a server, and pay for it.")] = False,
    json: Json = False,
) -> None:
    """Ask a model about whole frames in words, where it can: a caption, an answer, a count, points."""
    from gotowce_dagster.designators.profile import Profile
    from gotowce_dagster.detectors.ask import Way
    from gotowce_dagster.detectors.ask import ask as put
    from gotowce_dagster.detectors.detect import bill, bill_in_words
    from gotowce_dagster.detectors.registry import build_detector, settings_of
    from gotowce_dagster.video.decode import read_frames

    told: dict[Way, str | None] = {"query": question, "count": count, "point": point}
    asked: list[tuple[Way, str | None]] = [pair for pair in told.items() if pair[1] is not None]
    if len(asked) > 1:
        raise InputError("give one of --question, --count and --point at a time")
    wanted = _numbers(frames)
    way, words = asked[0] if asked else ("describe", None)
    images = {frame.index: frame.rgb() for frame in read_frames(_video_file(video), wanted)}
    if missing := sorted(set(wanted) - set(images)):
        raise InputError(f"{video}: has no readable frame {', '.join(map(str, missing))}")
    changes = {"input": None} | ({"send": True} if yes else {})
    settings = settings_of(detector, _known_detectors())
    settings = settings.model_copy(
        update={k: v for k, v in changes.items() if k in type(settings).model_fields}
    )
    chosen = build_detector(detector, settings, Profile(name="none"))
    answers = dict(zip(images, put(chosen, list(images.values()), way, words), strict=True))
    if json:
        console.show_json({"answers": answers, "bill": bill(chosen.cost)})
        return
    for index, answer in answers.items():
        console.out.print(f"frame {index}: {'no usable answer' if answer is None else answer}")
    if chosen.cost.answers:
        console.err.print(bill_in_words(detector, bill(chosen.cost)), highlight=False)


@app.command()
def segment(
    video: Annotated[str, typer.Argument(help="A video file, or the key of one that was added.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; segmented/VIDEO if not told.")
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="CSV of your points: frame_index,object_id,x,y,label (1 on it, 0 not)."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Without points: the profile of the designators around the objects.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="What carries the masks, for instance sam2:sam2.1_hiera_small.pt.")
    ] = None,
    json: Json = False,
) -> None:
    """Carry masks of objects through a video: a table, an annotated video, the prompts and a timeline."""
    from gotowce_dagster.config import engines
    from gotowce_dagster.designators.profile import read_profile
    from gotowce_dagster.intake.videos import NO_PROFILE, profile_of
    from gotowce_dagster.labelling.segment_video import segment as carry
    from gotowce_dagster.video.names import key_and_suffix

    project, path = Project.find(), _video_file(video)
    claimed = NO_PROFILE if points or profile else profile_of(project.paths, key_and_suffix(path.name)[0])
    if not (points or profile) and claimed == NO_PROFILE:
        raise InputError(f"no profile claims {path.name}; give --profile or --points")
    prompted_by = points or read_profile(profile or project.paths.profile(claimed))
    out = out or Path("segmented") / path.stem
    masks = project.params.masks
    needed = {"propagation": [engine] if engine else masks.propagation.engine}
    chosen = engines.first_of(needed if points else needed | {"masks": masks.segmenter})
    with console.progress_bars() as start:
        done = carry(path, prompted_by, out, params=project.params, engines=chosen, start=start)
    if json:
        console.show_json(asdict(done))
        return
    rows = (
        [what, console.number(value) if isinstance(value, int | float) else str(value)]
        for what, value in asdict(done).items()
    )
    console.show_table(f"{path.name}", ["", ""], rows)


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="A stage of dvc.yaml, for instance masks.")],
    video: Annotated[str | None, typer.Argument(help="The video's key, for stages per video.")] = None,
    json: Json = False,
) -> None:
    """Run one stage, as dvc.yaml does; one that found nothing at all says so on standard error."""
    from gotowce_dagster.intake.dvc_repo import DvcRepo
    from gotowce_dagster.previews.found_nothing import found_nothing
    from gotowce_dagster.previews.table import PREVIEWS
    from gotowce_dagster.stages.table import STAGES

    if name not in STAGES:
        raise InputError(f"no stage named {name!r}; expected one of {', '.join(STAGES)}")
    chosen = STAGES[name]
    if chosen.per_video != (video is not None):
        raise InputError(
            f"{name} runs {'on one video: name it' if chosen.per_video else 'on the whole project'}"
        )
    project = Project.find()
    arguments = (project,) if video is None else (project, video)
    if video is not None:
        project.video(video)
    DvcRepo(project.paths.root).remember()
    with console.progress_bars() as start:
        chosen.run(*arguments, start(" ".join(filter(None, (name, video)))))
    preview = PREVIEWS[name](*arguments)
    warning = found_nothing(project, name, video)
    if warning:
        # On standard error also with --json: `dvc repro` shows it there and nowhere else.
        console.err.print(Text.assemble(("WARNING: ", "bold red"), warning))
    if json:
        notes = [warning, *preview.notes] if warning else preview.notes
        console.show_json({"numbers": preview.numbers, "notes": notes})
        return
    rows = ([what, console.number(value)] for what, value in preview.numbers.items())
    console.show_table(name, ["", ""], rows)
    for note in preview.notes:
        console.note(note)


@app.command()
def demo(
    studies: Annotated[
        bool, typer.Option("--studies", help="Run the two studies too, which takes minutes more.")
    ] = False,
    json: Json = False,
) -> None:
    """Take the two sample clips through the whole pipeline and say where the report is."""
    from gotowce_dagster.cli import demo as demonstration

    project = Project.find()
    report = demonstration.run(project, quiet=json, studies=studies)
    if json:
        console.show_json({"stages": demonstration.numbers(project, studies=studies), "report": report})
        return
    console.say("The report: ", console.bold(report), "\nLook at the pipeline with `make dev`.")


def _sync_code(project: Project, json: bool) -> None:
    from gotowce_dagster.intake.code_graph import sync_code

    changed = sync_code(project.paths.root)
    if json:
        console.show_json(changed)
        return
    for stage, (added, removed) in changed.items():
        lines = [*(f"+ {name}" for name in added), *(f"- {name}" for name in removed)]
        console.out.print(f"[bold]{stage}[/]", *lines, sep="\n  ", highlight=False)
    if not changed:
        console.out.print("dvc.yaml names exactly the source files that each stage runs")


def _numbers(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words):
        raise InputError(f"--frames: expected frame numbers from 0, such as 62,187, got {text!r}")
    return [int(word) for word in words]


def _known_detectors() -> dict[str, DetectorSettings]:
    """Those of the project around; none outside of one, where kinds are known all the same."""
    try:
        project = Project.find()
    except InputError:
        return {}
    return project.params.designator_detections.detectors


def _video_file(video: str) -> Path:
    """A file as it is named, or the file of a video's key."""
    return Path(video) if Path(video).exists() else Project.find().raw(video)


def main() -> None:
    """Run the command line; a known error is one sentence.

    Exit code 2 for bad input and for errors of the system (disk, access rights, memory), 1 for the rest.
    """
    console.print_any_name()
    try:
        app()
    except GotowceError as error:
        console.fail(str(error))
        sys.exit(2 if isinstance(error, InputError) else 1)
    except Exception as error:
        if (told := system_sentence(error)) is None:
            raise
        console.fail(told)
        sys.exit(2)


if __name__ == "__main__":
    main()
