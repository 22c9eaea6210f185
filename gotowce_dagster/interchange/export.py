"""`gotowce export`: export labels in the format of another tool, atomically."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.interchange.base import About, Format, Picture
from gotowce_dagster.interchange.registry import FORMATS
from gotowce_dagster.interchange.sources import Labels, source

SUMMARY, PICTURES = "export.json", "pictures.csv"


@dataclass
class Exported:
    """Contents of an export."""

    format: str
    labels: str
    out: str
    pictures: int = 0
    objects: int = 0
    masks: int = 0
    by_split: Counter[str] = field(default_factory=Counter)
    by_class: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of frames left out, by reason."""

    def count(self, picture: Picture) -> None:
        """Count an image."""
        self.pictures += 1
        self.objects += len(picture.objects)
        self.masks += sum(thing.rle is not None for thing in picture.objects)
        self.by_split[picture.split] += 1
        self.by_class.update(thing.class_name for thing in picture.objects)


def export(
    project: Project,
    name: str,
    labels: Labels,
    out: Path,
    *,
    with_masks: bool = True,
    copies: bool = True,
    progress: Progress = silent,
) -> Exported:
    """Export labels and images to a folder, replacing an earlier export in it.

    Args:
        name: name of the format, a key of registry.FORMATS.
        with_masks: write masks; otherwise boxes only.
        copies: copy the images into the folder; otherwise reference them by absolute path.
        progress: called with the number of images.

    Raises:
        InputError: the format is unknown, ``out`` contains other files, the labels do not exist yet, or no
            frame can be exported.
    """
    if name not in FORMATS:
        raise InputError(f"no format named {name!r}; expected one of {', '.join(FORMATS)}")
    chosen = FORMATS[name]
    if not copies and not chosen.can_reference:
        raise InputError(f"the format {name} requires images in its own folder; export copies of them")
    _refuse_other_folders(out)
    found = source(project, labels)
    done = Exported(name, labels, str(out))
    description = {
        "description": f"{labels} labels of gotowce-dagster {version('gotowce-dagster')}",
        "folder": out.resolve().name,
    }
    about = About(labels, found.classes(), found.splits(), description)
    with fresh_dir(out) as new:
        seen = tracked(found.pictures(), found.count(), progress)
        shown = seen if with_masks else map(_boxes_only, seen)
        chosen.write(new, _listed(new, _placed(new, shown, chosen if copies else None), done), about)
        done.left_out = found.left_out
        if not done.pictures:
            why = ", ".join(f"{count} {reason}" for reason, count in done.left_out.items()) or "no frames"
            raise InputError(f"nothing to export of the {labels} labels: {why}")
        content = {key: value for key, value in vars(done).items() if key != "out"}
        (new / SUMMARY).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return done


def _boxes_only(picture: Picture) -> Picture:
    return replace(picture, objects=tuple(replace(thing, rle=None) for thing in picture.objects))


def _placed(folder: Path, pictures: Iterable[Picture], copied_to: Format | None) -> Iterator[Picture]:
    """Yield the images with their paths, copied to the folder or referenced."""
    for picture in pictures:
        if copied_to is None:
            yield replace(picture, file=str(picture.source.resolve()))
            continue
        file = copied_to.path_of(picture)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        # Not a link: users may edit an export, and DVC's cache may share the file.
        shutil.copyfile(picture.source, folder / file)
        yield replace(picture, file=file)


def _listed(folder: Path, pictures: Iterable[Picture], done: Exported) -> Iterator[Picture]:
    """Yield the images; count each and list it in PICTURES, the provenance for every format."""
    with (folder / PICTURES).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        for picture in pictures:
            size = {"width": picture.width, "height": picture.height, "objects": len(picture.objects)}
            row = {"file": picture.file} | picture.notes() | size
            if not done.pictures:
                rows.writerow(row)
            rows.writerow(row.values())
            done.count(picture)
            yield picture


def _refuse_other_folders(out: Path) -> None:
    """Refuse to replace a folder that is neither new, nor empty, nor an earlier export."""
    if out.exists() and not (out.is_dir() and ((out / SUMMARY).exists() or not any(out.iterdir()))):
        raise InputError(f"{out}: not the folder of an earlier export; choose another folder")
