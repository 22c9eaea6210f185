"""A slice: the small text files of a project that the stages of one video need.

A node of a cluster has no copy of the project. The driver takes a slice when it launches a run and stores it
in the run's event log; the node writes it to an empty folder, which then is a project with one video. Data is
pulled from the DVC remote.
"""

import base64
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import read_text
from gotowce_dagster.core.safe_names import safe_path
from gotowce_dagster.core.sources import pointer
from gotowce_dagster.core.yaml_files import dump_yaml, read_yaml
from gotowce_dagster.intake.pipelines import LOCK, PIPELINE, SETTINGS

_OF_PROJECT = (".dvc/config", "params.yaml", "dvc.yaml", "studies/dvc.yaml", "videos/template.yaml")
_OPTIONAL = (".dvcignore", "data/engines.yaml")
# The slice is not in git. Everything else of DVC's settings is the project's or the node's own.
_DVC_SETTINGS = "[core]\n    no_scm = true\n"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def _below_root(name: str) -> str:
    """Validate a path inside the slice; its first part may be hidden, such as ``.dvc``."""
    safe_path(name.removeprefix("."))
    return name


_FILES = TypeAdapter(dict[Annotated[str, AfterValidator(_below_root)], str])


def take(project: Project, video: str) -> dict[str, str]:
    """Collect the files of a video's slice: text by path below the root.

    Raises:
        InputError: There is no such video, DVC does not track it, or a file is missing or not UTF-8.
    """
    paths, root = project.paths, project.paths.root
    pipeline = paths.pipeline(video)
    entry = project.video(video)
    tracked = pointer(project.raw_path(video))
    if not tracked.exists():
        raise InputError(f"{project.raw_path(video)}: not tracked by DVC yet; run `gotowce sync`")
    names = [
        *_OF_PROJECT,
        *(name for name in _OPTIONAL if (root / name).exists()),
        tracked.relative_to(root).as_posix(),
        *((pipeline / name).relative_to(root).as_posix() for name in (PIPELINE, SETTINGS)),
        *_sources(pipeline),
    ]
    if (pipeline / LOCK).exists():
        names.append((pipeline / LOCK).relative_to(root).as_posix())
    files = {name: read_text(root / name, "run `gotowce sync`") for name in names}
    listed = paths.videos.relative_to(root).as_posix()
    return files | {listed: dump_yaml({"videos": {video: entry.entry()}})}


def _sources(pipeline: Path) -> list[str]:
    """The dependencies of a video's stages that are neither videos nor outputs of other stages, sorted."""
    settings = read_yaml(pipeline / SETTINGS)
    stages = read_yaml(pipeline / PIPELINE)["stages"].values()

    def resolved(part: str) -> set[str]:
        return {
            _VARIABLE.sub(lambda name: settings[name[1]], path) for stage in stages for path in stage[part]
        }

    own = resolved("deps") - resolved("outs")
    return sorted(path for path in own if not path.startswith("data/raw/"))


def pack(files: Mapping[str, str]) -> str:
    """Compress a slice to text."""
    return base64.b64encode(zlib.compress(_FILES.dump_json(dict(files)), 9)).decode()


def unpack(text: str) -> dict[str, str]:
    """Restore a slice from its text.

    Raises:
        InputError: It is not the text of a slice.
    """
    try:
        return _FILES.validate_json(zlib.decompress(base64.b64decode(text, validate=True)))
    except (ValueError, zlib.error) as error:
        raise InputError(f"the slice of the run is damaged ({error}); launch the run again") from None


def write(files: Mapping[str, str], root: Path) -> None:
    """Write a slice to an empty folder."""
    for name, text in (dict(files) | {".dvc/config.local": _DVC_SETTINGS}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _mark(Paths(root)).parent.mkdir(parents=True)
    _mark(Paths(root)).touch()


def is_slice(paths: Paths) -> bool:
    """Whether a project is the slice of a run, on a node of a cluster."""
    return _mark(paths).exists()


def pictures(paths: Paths, asset: str, video: str | None) -> Path | None:
    """Where an asset's pictures in full size stay; None in a slice, which is removed after its run."""
    return None if is_slice(paths) else paths.pictures(asset, video)


def _mark(paths: Paths) -> Path:
    return paths.work("cluster") / "slice"
