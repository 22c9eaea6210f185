"""A project: a folder with params.yaml, its videos, and the engines chosen for this machine."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.params import Params, Section, read_params
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.safe_names import SafeName, readable_path
from gotowce_dagster.core.sources import State, require_pulled, state
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.core.yaml_files import read_texts

_SYNC = "write it with `gotowce sync`"


def _engine(engine: str) -> str:
    """Validate NAME, NAME:WEIGHTS or WEIGHTS; weights may be in any folder."""
    readable_path(engine.removeprefix(f"{EngineSpec.parse(engine).name}:"))
    return engine


Engine = Annotated[str, AfterValidator(_engine)]


class Video(Section):
    """One entry of data/videos.yaml."""

    file: SafeName
    """Name inside data/raw, with its suffix."""
    profile: SafeName
    """NAME of its profile, data/profiles/NAME.toml."""
    points: SafeName = "none"
    """NAME of its point prompts, data/points/NAME.csv; none.csv is empty."""
    negative: bool = Field(default=False, strict=False)
    """Whether frames without a mark have no target: the profile lists the video under ``negative``."""
    formerly: Annotated[tuple[SafeName, ...], Field(strict=False)] = ()
    """Its former keys, which Label Studio's tasks still contain."""

    def entry(self) -> dict[str, object]:
        """The entry in the form of data/videos.yaml."""
        entry: dict[str, object] = {"file": self.file, "profile": self.profile, "points": self.points}
        entry |= {"negative": True} if self.negative else {}
        return entry | ({"formerly": list(self.formerly)} if self.formerly else {})


class _Listed(Section):
    """The whole of data/videos.yaml."""

    videos: dict[SafeName, Video]


@dataclass(frozen=True)
class Project:
    """The input of every stage. Each file is read once, on first use."""

    paths: Paths

    @classmethod
    def find(cls, start: Path | None = None) -> "Project":
        """The project around ``start`` (default: $GOTOWCE_ROOT, else the current folder).

        Raises:
            InputError: neither the folder nor its parents contain a params.yaml.
        """
        start = (start or Path(os.environ.get("GOTOWCE_ROOT", "."))).resolve()
        for folder in (start, *start.parents):
            if (folder / "params.yaml").exists():
                return cls(Paths(folder))
        raise InputError(f"{start}: no params.yaml here or above; run this inside a gotowce project")

    @cached_property
    def params(self) -> Params:
        return read_params(self.paths.params)

    @cached_property
    def videos(self) -> dict[str, Video]:
        """The videos by key, sorted.

        Raises:
            InputError: data/videos.yaml is missing or malformed.
        """
        return read_videos(self.paths.videos)

    @property
    def names(self) -> dict[str, str]:
        """The key of each video by its current and former names; current names take precedence."""
        former = {name: key for key, video in self.videos.items() for name in video.formerly}
        return former | {key: key for key in self.videos}

    def video(self, key: str) -> Video:
        """Raises: InputError: there is no such video."""
        if key not in self.videos:
            known = ", ".join(self.videos) or "none yet; add one with `gotowce add VIDEO`"
            raise InputError(f"no video named {key!r}; known: {known}")
        return self.videos[key]

    def raw(self, key: str) -> Path:
        """A video's file.

        Raises:
            InputError: there is no such video, or its file is missing or not pulled.
        """
        path = self.raw_path(key)
        require_pulled([path])
        if state(path) == "gone":
            raise InputError(
                f"{path}: missing, and DVC does not track it; restore the file, or remove the video from the "
                f"project with `gotowce remove {key}`"
            )
        return path

    def raw_path(self, key: str) -> Path:
        """The path of a video's file, whether or not it exists.

        Raises:
            InputError: there is no such video.
        """
        return self.paths.raw / self.video(key).file

    def raw_state(self, key: str) -> State:
        """Whether a video's file is present, not pulled, or gone."""
        return state(self.raw_path(key))

    def require_raw(self) -> None:
        """Make sure that no video is merely tracked: what sums up all of them would be of some.

        Raises:
            InputError: naming all that are not pulled, and how to get them.
        """
        require_pulled(self.raw_path(key) for key in self.videos)

    @cached_property
    def engines(self) -> dict[str, str]:
        """For each stage with a choice, the engine it runs with: NAME or NAME:WEIGHTS.

        Raises:
            InputError: data/engines.yaml is missing.
        """
        content = read_texts(self.paths.engines, _SYNC)
        try:
            return TypeAdapter(dict[str, Engine]).validate_python(content)
        except ValidationError as error:
            reason = in_words(error, content)
            raise InputError(f"{self.paths.engines}: {reason}; run `gotowce sync --refresh`") from None


def read_videos(path: Path) -> dict[str, Video]:
    """The videos that videos.yaml lists, by key, sorted.

    Raises:
        InputError: the file is missing or malformed.
    """
    content = read_texts(path, _SYNC)
    try:
        listed = _Listed.model_validate(content).videos
    except ValidationError as error:
        raise InputError(f"{path}: {in_words(error, content)}; rewrite it with `gotowce sync`") from None
    return dict(sorted(listed.items()))


def listed_videos(paths: Paths) -> dict[str, Video]:
    """The same before the file is rewritten: none if it is missing or malformed."""
    try:
        return read_videos(paths.videos)
    except InputError:
        return {}
