"""Designator profiles: what the mark around a target looks like in a game, as a small TOML file.

``gotowce calibrate`` writes one from a few example boxes; it can be written or corrected by hand as well.
"""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file, read_toml
from gotowce_dagster.core.safe_names import ClassName, SafeName
from gotowce_dagster.core.validation import in_words

Number = Annotated[float, Field(strict=True)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Pixels = Annotated[Number, Field(ge=0, le=65_536)]
Ratio = Annotated[Number, Field(gt=0, le=100)]


class _Part(BaseModel):
    """A part of a profile: unknown keys are refused, values cannot change, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ordered(field: str, pair: tuple[float, float]) -> None:
    if pair[0] > pair[1]:
        raise ValueError(f"{field}: the smallest comes first, got {list(pair)}")


class Designator(_Part):
    """One kind of mark: four axis-aligned corners around the target, the middle of every side empty."""

    name: SafeName
    """What it is called, for instance ``hostile``; kept with every detection as its prompt."""
    class_name: ClassName
    """The class that the target inside gets."""
    colours: tuple[Colour, ...] = Field(min_length=1)
    """A pixel belongs to the mark if it lies in any of these."""
    arm: tuple[Fraction, Fraction]
    """Length of a corner's arm over the side, shortest and longest."""
    arm_px: Number = Field(ge=3, le=500)
    """Shortest arm in pixels. A game may draw arms of a fixed length around targets of any size, so a
    larger mark must show arms of this many pixels, not of this fraction."""
    gap: tuple[Fraction, Fraction]
    """Length of the empty middle over the side, shortest and longest."""
    rounding: Number = Field(default=0, ge=0, le=0.7)
    """Share of an arm that the rounding of the corner takes away from the outer line; 0 is a sharp corner."""
    thickness_px: Number = Field(ge=0.5, le=20)
    """Width of the lines in pixels."""
    size_px: tuple[Pixels, Pixels]
    """Smallest and largest side in pixels; a largest of 0 means that only the frame limits it."""
    aspect: tuple[Ratio, Ratio] = (0.93, 1.07)
    """Width over height, smallest and largest."""
    inset_px: Number = Field(default=0, ge=-3, le=3)
    """How far inside the outer edge of the lines a box is to lie. Learned from how the examples were drawn,
    so that found boxes agree with boxes of the same hand."""

    @model_validator(mode="after")
    def _possible(self) -> "Designator":
        for field in ("arm", "gap", "aspect"):
            _ordered(field, getattr(self, field))
        if self.arm[1] > 0.5:
            raise ValueError(f"arm: two arms of {self.arm[1]} do not fit on one side; at most 0.5")
        if self.arm[0] * 2 + self.gap[0] > 1.0001:
            raise ValueError(
                f"gap: two arms of {self.arm[0]} and a gap of {self.gap[0]} are more than a side"
            )
        if self.gap[0] < 0.1:
            raise ValueError("gap: at least 0.1 of each side must be empty, or this is a frame, not corners")
        smallest, largest = self.size_px
        if smallest < 2 * self.arm_px * 0.75 or smallest <= 0:
            raise ValueError(f"size_px: a side of {smallest} px has no room for two arms of {self.arm_px} px")
        if largest and largest < smallest:
            raise ValueError(f"size_px: the smallest comes first, got {[smallest, largest]}")
        return self


class Profile(_Part):
    """All designators of a game. One without any is legal: nothing is known, nothing is found."""

    name: SafeName
    videos: tuple[str, ...] = ()
    """Patterns (``*`` and ``?``) of the keys of videos it is for; a new video gets the first that fits."""
    designators: tuple[Designator, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> "Profile":
        names = [d.name for d in self.designators]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"designators: more than one is named {', '.join(sorted(twice))}")
        return self

    def fits(self, video: str) -> bool:
        """Whether this profile is meant for the video of that key."""
        return any(fnmatch(video, pattern) for pattern in self.videos)


def read_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        InputError: naming the file and every field that is missing, unknown or impossible.
    """
    content = read_toml(path, "make it with `gotowce calibrate`")
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {in_words(error, content)}; see docs/profiles.md") from None


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile as TOML, whole or not at all."""
    content = tomli_w.dumps(profile.model_dump(mode="json"))
    # tomli_w gives every number of a list its own line.
    content = re.sub(r"\[\s+([^\[\]=]+?),\s+\]", lambda m: f"[{' '.join(m[1].split())}]", content)
    with fresh_file(path) as new:
        new.write_text(f"# What each field means is told in docs/profiles.md.\n{content}", encoding="utf-8")
