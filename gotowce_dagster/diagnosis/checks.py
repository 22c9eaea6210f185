"""Diagnosis: what can run on this machine, why anything else cannot, and what to do about it."""

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version

from gotowce_dagster.config.detector_settings import kinds_with
from gotowce_dagster.config.engines import (
    every_engine,
    extra_of,
    missing_extra,
    obstacle,
    preferences,
    unknown,
    weights_of,
)
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import extras, weights
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.sources import not_pulled, tracked_files
from gotowce_dagster.detectors import obstacles
from gotowce_dagster.diagnosis import machine
from gotowce_dagster.diagnosis.deadline import Questions
from gotowce_dagster.diagnosis.finding import Finding, Level
from gotowce_dagster.review.connection import ServerDownError, connect, find

WAIT_S = 2.0
"""For the answers of all addresses together, while the machine is checked; and for Label Studio."""

Responds = Callable[[str], bool]


def diagnose(project: Project, hours: float | None = None) -> list[Finding]:
    """Check everything that the pipeline needs.

    Args:
        hours: Hours of video to be added, for the check of the disk; see machine.disk.
    """
    absent = [name for name, known in weights.WEIGHTS.items() if known.url and not weights.find(name)]
    questions = Questions({name: partial(weights.reachable, name, WAIT_S) for name in absent})
    found = [machine.versions(project), machine.device(), machine.codecs(), *machine.optional()]
    answers = questions.answers(WAIT_S)

    def responds(name: str) -> bool:
        return answers.get(name, False)

    found += [machine.weights_folder(), *(weights_finding(name, responds) for name in weights.WEIGHTS)]
    found += [by_hand_finding(name) for name in weights.BY_HAND]
    try:
        found += _of_project(project, responds, hours)
    except InputError as error:
        found.append(Finding("project", False, str(error), "correct the file", Level.WRONG))
    return [*found, _label_studio(project)]


def weights_finding(name: str, responds: Responds | None = None) -> Finding:
    """Published weights: where they are, or whether they can be downloaded.

    Args:
        responds: Whether the official URL of weights responds; default: ask it.
    """
    published = weights.WEIGHTS[name]
    checked = "digest as published" if published.is_verified else "no known digest: format checked only"
    problems = weights.faults(name)
    wrong = "".join(f"; {problem}" for problem in problems)
    level = Level.HINT if problems else Level.FINE
    do = "remove the file, then the published one is downloaded" if problems else ""
    if path := weights.find(name):
        return Finding(name, True, f"{path} ({checked}){wrong}", do, level)
    if reason := weights.obstacle(name, responds):
        return Finding(name, False, reason, do or get_command(name), level)
    result = f"available at {published.url}; downloaded on first use ({checked}){wrong}"
    return Finding(name, True, result, do, level)


def by_hand_finding(name: str) -> Finding:
    """Weights that are not downloaded by gotowce: what they are for, where they are, or how to get them."""
    use = "".join(f"for the detector kind {kind}: " for kind in kinds_with(name))
    if path := weights.find(name):
        return Finding(name, True, f"{use}{path} (no known digest)")
    searched = " nor in ".join(map(str, weights.folders()))
    return Finding(name, False, f"{use}not in {searched}; download it yourself", get_command(name))


def get_command(name: str) -> str:
    """A command that puts published weights into the first folder that is searched; see weights.folders."""
    published = weights.WEIGHTS.get(name)
    folder = weights.folders()[0]
    target = shlex.quote(str(folder / name))
    if name in weights.BY_HAND:
        return weights.command_by_hand(name)
    if published is None or published.url is None:
        return f"put {name} into {folder}"
    if published.repo is not None:
        return f"hf download {published.repo} --revision {published.revision} --local-dir {target}"
    return f"curl -fL --create-dirs -o {target} {published.url}"


def _of_project(project: Project, responds: Responds, hours: float | None) -> Iterator[Finding]:
    _ = project.params  # raises before anything of the project is reported
    yield _sources(project)
    yield from _engines(project, responds)
    yield from _detectors(project, responds)
    if project.paths.engines.exists():
        yield from machine.gpu_memory(project.engines)
    yield machine.disk(project, hours)


def _sources(project: Project) -> Finding:
    """Check that every video and every review file is pulled."""
    what = "videos and reviews"
    if not project.paths.videos.exists():
        return Finding(what, False, "no data/videos.yaml", "gotowce sync", Level.WRONG)
    missing_videos = [key for key in project.videos if project.raw_state(key) == "gone"]
    files = [project.raw_path(key) for key in project.videos] + tracked_files(project.paths.reviewed_videos)
    problem = not_pulled(files)
    result = [*([problem] if problem else []), *(f"{key}: its file is missing" for key in missing_videos)]
    if not result:
        return Finding(what, True, f"{len(files)} files, all present")
    removal = " && ".join(f"gotowce remove {key}" for key in missing_videos)
    do = f"put the file back into data/raw, or {removal}" if missing_videos else "run that command"
    return Finding(what, False, "; ".join(result), do, Level.WRONG)


def _engines(project: Project, responds: Responds) -> Iterator[Finding]:
    used = preferences(project.params)
    reasons: dict[tuple[str, str], str | None] = {}
    for stage, engines in every_engine(project.params).items():
        for engine in engines:
            reason = unknown(stage, engine) or obstacle(engine, responds)
            reasons[stage, engine] = reason
            is_used = engine in used[stage]
            result = "available" if is_used else "available; not used by params.yaml"
            level = Level.WRONG if is_used and unknown(stage, engine) else Level.FINE
            do = "correct its name in params.yaml" if level is Level.WRONG else ""
            yield Finding(f"{stage}: {engine}", reason is None, reason or result, do, level)
    chosen = project.engines if project.paths.engines.exists() else {}
    for stage, engines in used.items():
        known = [engine for engine in engines if (stage, engine) in reasons and not unknown(stage, engine)]
        if known:
            blocked = {engine: reason for engine in known if (reason := reasons[stage, engine])}
            yield engine_choice(stage, known, chosen.get(stage), blocked)
    if chosen:
        yield Finding("chosen engines", True, ", ".join(f"{part}: {one}" for part, one in chosen.items()))
    else:
        yield Finding("chosen engines", False, "none yet", "gotowce sync", Level.WRONG)


def engine_choice(stage: str, engines: list[str], chosen: str | None, blocked: dict[str, str]) -> Finding:
    """Whether the engine that a stage runs with, or would choose now, can run, and is the preferred one.

    Args:
        engines: Those that params.yaml lists, in order of preference.
        blocked: Why an engine cannot run, for those that cannot.
    """
    what = f"engine of {stage}"
    if len(blocked) == len(engines):
        result = f"none of {', '.join(engines)} can run here; {engines[0]}: {blocked[engines[0]]}"
        return Finding(what, False, result, _remedy(engines[0]), Level.WRONG)
    if chosen in blocked:
        result = f"{chosen}, chosen in data/engines.yaml: {blocked[chosen]}"
        return Finding(what, False, result, f"{_remedy(chosen)}; or gotowce sync --refresh", Level.WRONG)
    runs = chosen or next(engine for engine in engines if engine not in blocked)
    better = engines[: engines.index(runs)] if runs in engines else []
    if not better:
        return Finding(what, True, runs)
    if better[0] in blocked:
        result = f"{runs}; params.yaml prefers {better[0]}: {blocked[better[0]]}"
        return Finding(what, True, result, f"{_remedy(better[0])}; then gotowce sync --refresh", Level.HINT)
    result = f"{runs}; params.yaml prefers {better[0]}, which can run here now"
    return Finding(what, True, result, "gotowce sync --refresh", Level.HINT)


def _remedy(engine: str) -> str:
    """What makes an engine run that cannot: its extra, or its weights."""
    name = weights_of(engine)
    extra = extra_of(engine)
    if extra and missing_extra(engine):
        return extras.command(extra)
    if name is None:
        return "choose another engine in params.yaml"
    if name in weights.WEIGHTS or name in weights.BY_HAND:
        return get_command(name)
    return f"put {name} into {weights.folders()[0]}, or run `gotowce trust` if it is in place"


def _detectors(project: Project, responds: Responds) -> Iterator[Finding]:
    """Whether each detector or other model of the pipeline and of the studies can run here."""
    params = project.params
    for section, detectors, level in (
        ("designator_detections", params.designator_detections.detectors, Level.WRONG),
        ("detector_comparison", params.detector_comparison.detectors, Level.HINT),
        # Studies that other models are added for by hand; a missing one is no problem of this machine.
        ("prompt_inputs", params.prompt_inputs.detectors, Level.FINE),
        ("dialogue", params.dialogue.models, Level.FINE),
        ("vocabulary", params.vocabulary.detectors, Level.FINE),
    ):
        for name, settings in detectors.items():
            reason = obstacles.obstacle(settings, responds)
            what = f"{section}: {name}"
            if reason is None:
                yield Finding(what, True, "available")
                continue
            absent = [needed for needed in settings.needs if needed in {**weights.WEIGHTS, **weights.BY_HAND}]
            commands = [get_command(needed) for needed in absent if not weights.find(needed)]
            if settings.extra and extras.obstacle(settings.extra):
                commands = [extras.command(settings.extra)]
            do = " && ".join(commands) or "see docs/detectors.md"
            yield Finding(what, False, reason, do, level)


def _label_studio(project: Project) -> Finding:
    """The server is needed for reviews only, so one that does not run is no problem."""
    what, sdk = "label studio", f"SDK {version('label-studio-sdk')}"
    try:
        room = connect(find(project.paths.root), WAIT_S)
    except ServerDownError as error:
        return Finding(what, False, f"{sdk}; {error}", "gotowce review serve")
    except GotowceError as error:
        do = "unset LABEL_STUDIO_URL LABEL_STUDIO_API_KEY, or set them to a server and its token"
        return Finding(what, False, f"{sdk}; {error}", do, Level.HINT)
    return Finding(what, True, f"{sdk}; {room.url} responds and accepts the token")
