"""A project: a folder with params.yaml, its videos and what this machine runs them with."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter, ValidationError

from gotowce_dagster.errors import InputError, explain_validation
from gotowce_dagster.params import Params, Section, read_params, read_yaml
from gotowce_dagster.paths import Paths
from gotowce_dagster.safe_names import SafeName, safe_path


def _engine(engine: str) -> str:
    """NAME, NAME:WEIGHTS or WEIGHTS; weights are a file in a folder of weights or below the project."""
    name, told, weights = engine.partition(":")
    safe_path(weights if told else name)
    return engine


Engine = Annotated[str, AfterValidator(_engine)]


class Video(Section):
    """One entry of data/videos.yaml."""

    file: SafeName
    """Name inside data/raw, with its suffix."""
    profile: SafeName
    """Which data/profiles/NAME.toml describes its designators."""
    points: SafeName = "none"
    """Which data/points/NAME.csv a human made for it; none.csv is empty."""


@dataclass(frozen=True)
class Project:
    """What every stage is given. Each file is read once, when first asked for."""

    paths: Paths

    @classmethod
    def find(cls, start: Path | None = None) -> "Project":
        """The project around ``start`` (default: $GOTOWCE_ROOT, else the current folder).

        Raises:
            InputError: no folder from there upwards holds a params.yaml.
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
        content = read_yaml(self.paths.videos)
        try:
            told = {"videos": content["videos"]}
            videos = TypeAdapter(dict[str, dict[SafeName, Video]]).validate_python(told)["videos"]
        except ValidationError as error:
            why = explain_validation(error)
            raise InputError(f"{self.paths.videos}: {why}; write it anew with `gotowce sync`") from None
        except (KeyError, TypeError):
            raise InputError(
                f"{self.paths.videos}: lacks the table `videos`; write it anew with `gotowce sync`"
            ) from None
        return dict(sorted(videos.items()))

    def video(self, key: str) -> Video:
        """Raises: InputError: there is no such video."""
        if key not in self.videos:
            known = ", ".join(self.videos) or "none yet; add one with `gotowce add VIDEO`"
            raise InputError(f"no video named {key!r}; known: {known}")
        return self.videos[key]

    def raw(self, key: str) -> Path:
        return self.paths.raw / self.video(key).file

    @cached_property
    def engines(self) -> dict[str, str]:
        """For each stage with a choice, the engine it runs with: NAME or NAME:WEIGHTS.

        Raises:
            InputError: data/engines.yaml is missing.
        """
        content = read_yaml(self.paths.engines)
        try:
            return TypeAdapter(dict[str, Engine]).validate_python(content)
        except ValidationError as error:
            why = explain_validation(error)
            raise InputError(f"{self.paths.engines}: {why}; run `gotowce sync --refresh`") from None
