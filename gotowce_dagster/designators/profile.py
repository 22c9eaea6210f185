"""Designator profiles: what the mark around a target looks like in a game, as a small TOML file.

``gotowce calibrate`` writes one from a few example boxes; it can be written or corrected by hand as well.
"""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tomli_w
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file, read_toml
from gotowce_dagster.core.safe_names import ClassName, SafeName
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.designators.picture import read as read_picture

Number = Annotated[float, Field(strict=True)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Pixels = Annotated[Number, Field(ge=0, le=65_536)]
Ratio = Annotated[Number, Field(gt=0, le=100)]
SMALL = 1.5
"""Sides up to this times the smallest are those of small marks, which must show all corners."""


class _Part(BaseModel):
    """A part of a profile: unknown keys are refused, values cannot change, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ordered(field: str, pair: tuple[float, float]) -> None:
    if pair[0] > pair[1]:
        raise ValueError(f"{field}: the smallest comes first, got {list(pair)}")


class Target(_Part):
    """Where the target stands relative to its mark."""

    where: Literal["inside", "beside", "enclosed", "on"] = "inside"
    """Inside the mark, beside it, enclosed by its line, or standing on it."""
    box: tuple[float, float, float, float] = (0, 0, 1, 1)
    """The target's usual box xyxy in widths and heights of the mark, from its top left; (0, 1, 1, 3) is below
    it, two marks high."""
    learned: bool = False
    """Whether ``box`` comes from boxes of targets; if not it is only what is usual in the family."""


class Designator(_Part):
    """One kind of mark: four axis-aligned corners around the target, the middle of every side empty."""

    family: Literal["corners"] = "corners"
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
    arm_law: Literal["fixed", "proportional", "either"] | None = None
    """How arms grow with the side: not at all, in proportion, or either, where the examples are too similar
    in size to decide. None, in older profiles: ``arm_px`` and ``arm`` alone decide."""
    arm_longest_px: Number = Field(default=0, ge=0, le=500)
    """Longest arm in pixels of the examples; read where ``arm_law`` is fixed or either."""
    rounding: Number = Field(default=0, ge=0, le=0.7)
    """Share of an arm that the rounding of the corner takes away from the outer line; 0 is a sharp corner."""
    thickness_px: Number = Field(ge=0.5, le=20)
    """Width of the lines in pixels."""
    vividness: Number = Field(default=0, ge=0, le=181)
    """Mean distance from grey in Cr and Cb of the arms of the palest example; 0: not looked at."""
    size_px: tuple[Pixels, Pixels]
    """Smallest and largest side in pixels; a largest of 0 means that only the frame limits it."""
    aspect: tuple[Ratio, Ratio] = (0.93, 1.07)
    """Width over height, smallest and largest."""
    inset_px: Number = Field(default=0, ge=-8, le=3)
    """How far inside the outer edge of the lines a box is to lie. Learned from how the examples were drawn,
    so that found boxes agree with boxes of the same hand."""
    target: Target = Target()
    not_marks: tuple[tuple[float, float, float, float], ...] = ()
    """Boxes xyxy of static parts of the HUD that look like the mark; detections in them are dropped."""

    @property
    def shortest_arm_px(self) -> float:
        """Arms shorter than this are none."""
        return 0.6 * self.arm_px

    @property
    def small(self) -> "Designator | None":
        """The look of small marks whose arms shrink with the side; None where arms cannot be so short."""
        if self.arm_law not in ("proportional", "either") or self.arm_px < 5:
            return None
        changes = {
            "arm_law": "proportional",
            "arm_px": max(0.6 * self.arm_px, 3.0),
            "size_px": (self.size_px[0], SMALL * self.size_px[0]),
        }
        return self.model_copy(update=changes)

    def longest_arm_px(self, side: np.ndarray | float) -> np.ndarray:
        """Longest arm of marks of these sides, both in pixels and of one shape."""
        proportional = np.asarray(1.4 * self.arm[1] * side + 2)
        if self.arm_law in (None, "proportional"):
            return proportional
        fixed = 1.25 * self.arm_longest_px + 2
        return (
            np.maximum(proportional, fixed) if self.arm_law == "either" else np.full_like(proportional, fixed)
        )

    def expected_arm_px(self, side: np.ndarray | float) -> np.ndarray:
        """Shortest arms that the examples lead to expect at these sides in pixels: see proposals.SHORT."""
        proportional = np.asarray(self.arm[0] * side)
        return np.full_like(proportional, self.arm_px) if self.arm_law == "fixed" else proportional

    @property
    def free_aspect(self) -> bool:
        """Whether marks take the shape of their targets, so that two corners on one side define no box."""
        return self.aspect[1] > 1.3 * self.aspect[0]

    @property
    def typical_aspect(self) -> float:
        """Width over height."""
        return float(np.sqrt(np.prod(self.aspect)) if self.free_aspect else np.mean(self.aspect))

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
        arm = self.arm_px if self.arm_law is None else self.shortest_arm_px
        if smallest < 2 * arm * 0.75 or smallest <= 0:
            raise ValueError(f"size_px: a side of {smallest} px has no room for two arms of {arm:.1f} px")
        if largest and largest < smallest:
            raise ValueError(f"size_px: the smallest comes first, got {[smallest, largest]}")
        return self


class _Look(_Part):
    """What the families beside corners have in common."""

    name: SafeName
    """What it is called; kept with every detection as its prompt."""
    class_name: ClassName
    """The class that its target gets."""
    colours: tuple[Colour, ...] = Field(min_length=1)
    """A pixel belongs to the mark if it lies in any of these."""
    size_px: tuple[float, float]
    """Smallest and largest longer side in pixels that is looked for."""
    aspect: tuple[float, float]
    """Width over height, smallest and largest."""
    thickness_px: float = Field(ge=0.5, le=60)
    """Width of the lines in pixels."""
    inset_px: tuple[float, float, float, float] = (0, 0, 0, 0)
    """How far inside the found box each drawn edge x1, y1, x2, y2 lies, as the examples were drawn."""
    contrast: float = Field(default=0, ge=0)
    """How far the mark's pixels stand out from what is beside them, at full confidence, in levels that
    compression does not reach; 0: not looked at."""
    target: Target = Target()
    not_marks: tuple[tuple[float, float, float, float], ...] = ()
    """Boxes xyxy of static parts of the HUD that look like the mark; detections in them are dropped."""

    @model_validator(mode="after")
    def _ranges(self) -> "_Look":
        for field in ("size_px", "aspect"):
            _ordered(field, getattr(self, field))
        if self.size_px[0] <= 0 or self.aspect[0] <= 0:
            raise ValueError("size_px and aspect must be above 0")
        return self


class FrameLook(_Look):
    """A closed or dashed rectangle around the target."""

    family: Literal["frame"] = "frame"
    fill: Fraction
    """Share of each side that is line: 1 closed, less when dashed."""
    dash_gap_px: float = Field(default=0, ge=0, le=60)
    """Longest gap between two dashes in pixels."""


class RadialLook(_Look):
    """A ring, a diamond or pointers on a circle around the target, at any angle."""

    family: Literal["radial"] = "radial"
    shape: Literal["ring", "diamond", "pointers"]
    fill: Fraction = 1
    """Share of the ring's or diamond's line that is drawn."""
    dash_gap_px: float = Field(default=0, ge=0, le=60)
    """Of a diamond: longest gap between two dashes in pixels."""
    pointers: int = Field(default=0, ge=0, le=16)
    """How many pointers stand on the circle, evenly spaced."""
    pointer_px: tuple[float, float] = (0, 0)
    """Area of a pointer in pixels, smallest and largest that is looked for."""
    radius_px: tuple[float, float] = (0, 0)
    """From the centre to the middle of a pointer, smallest and largest that is looked for."""
    form: float = 0
    """Natural logarithm of a pointer's length along the radius over its width across."""


class BesideLook(_Look):
    """A small sign above, below or at the target: a chevron, bar, dot or icon."""

    family: Literal["beside"] = "beside"
    picture: tuple[str, ...]
    """The mark as rows of digits, 0 never on to 9 always on, stretched to the mark's sides."""
    sides_px: tuple[float, float]
    """Usual width and height of the mark in pixels."""
    crowd: Fraction = 1
    """Largest share of what is left and right of it that has its colours, as beside letters of a line."""


class OutlineLook(_Look):
    """A line along the silhouette of the target."""

    family: Literal["outline"] = "outline"
    enclosed: tuple[Fraction, Fraction]
    """Share of its box that the line encloses, smallest and largest that is looked for."""
    hollow: Fraction = 0
    """Smallest share of what is enclosed in one hole or within a line's width of it; 0: not looked at."""


class GroundLook(_Look):
    """A ring seen at an angle, an ellipse at the target's feet, of which the target may hide a part."""

    family: Literal["ground"] = "ground"
    fill: Fraction
    """Share of the ellipse's line that is drawn."""


class LearnedLook(_Look):
    """A mark that no other family describes, by its own picture."""

    family: Literal["learned"] = "learned"
    picture: tuple[str, ...] = Field(min_length=1)
    """Cut out of the examples: base64 of a PNG of Y, Cr, Cb and opacity (designators/picture.py)."""
    likeness: tuple[Fraction, Fraction]
    """How like the picture a place is, at confidence 0 and at confidence 1."""

    @model_validator(mode="after")
    def _possible(self) -> "LearnedLook":
        try:
            read_picture(self.picture)
        except ValueError as error:
            raise ValueError(f"picture: {error}") from None
        if self.likeness[0] >= self.likeness[1]:
            raise ValueError(f"likeness: the smaller comes first, got {list(self.likeness)}")
        return self


def _family(content: object) -> str:
    if isinstance(content, dict):
        return str(content.get("family", "corners"))
    return str(getattr(content, "family", "corners"))


Look = FrameLook | RadialLook | BesideLook | OutlineLook | GroundLook | LearnedLook
AnyDesignator = Annotated[
    Annotated[Designator, Tag("corners")]
    | Annotated[FrameLook, Tag("frame")]
    | Annotated[RadialLook, Tag("radial")]
    | Annotated[BesideLook, Tag("beside")]
    | Annotated[OutlineLook, Tag("outline")]
    | Annotated[GroundLook, Tag("ground")]
    | Annotated[LearnedLook, Tag("learned")],
    Discriminator(_family),
]
"""A designator of any family; one that names none is of corners, as all profiles once were."""


class Profile(_Part):
    """All designators of a game. One without any is legal: nothing is known, nothing is found."""

    name: SafeName
    videos: tuple[str, ...] = ()
    """Patterns (``*`` and ``?``) of the keys of videos it is for; a new video gets the first that fits."""
    negative: tuple[str, ...] = ()
    """Patterns of those videos in which frames without a mark have no target, so that they are negatives. By
    default a frame without a mark may be full of targets."""
    designators: tuple[AnyDesignator, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> "Profile":
        names = [d.name for d in self.designators]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"designators: more than one is named {', '.join(sorted(twice))}")
        return self

    def fits(self, video: str) -> bool:
        """Whether this profile is meant for the video of that key."""
        return any(fnmatch(video, pattern) for pattern in self.videos)

    def is_negative(self, video: str) -> bool:
        """Whether that video's frames without a mark show no target."""
        return any(fnmatch(video, pattern) for pattern in self.negative)


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
    content = tomli_w.dumps(profile.model_dump(mode="json", exclude_none=True))
    # tomli_w gives every number of a list its own line.
    content = re.sub(r"\[\s+([^\[\]=]+?),\s+\]", lambda m: f"[{' '.join(m[1].split())}]", content)
    with fresh_file(path) as new:
        new.write_text(f"# docs/profiles.md explains each field.\n{content}", encoding="utf-8")
