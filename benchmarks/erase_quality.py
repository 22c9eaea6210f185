"""Can a classifier tell places where a mark was erased from places that never had one?

    python -m benchmarks.erase_quality FOOTAGE_FOLDER --work FOLDER [--games naev oolite] [--px 16 32]

Marks are found by the detector ``bracket`` with the profiles in data/profiles, in frames stored as the
dataset has them; then they are erased and the frames stored again. Patches around erased pixels are compared
with patches that no mark was ever drawn on, of the same frames and of others, stored twice as well: see
``OTHERS``. Two classifiers learn from parts of the clips and judge the rest; their accuracy is 0.5 if nothing
can be seen. Beside it:

untouched: places of marks in frames in which the mark is elsewhere, what the accuracy is without any trace;
left: the marks as they are, what the accuracy is at most;
filled: the fill without a mark beneath it, mark-shaped holes in frames in which the mark is elsewhere.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.erase_classifiers import CLASSIFIERS, Accuracy, Patches, accuracy, by_clip, by_time
from gotowce_dagster.designators.erase import erase, mark_pixels
from gotowce_dagster.designators.fill import paint_over
from gotowce_dagster.designators.profile import AnyDesignator, Profile, read_profile
from gotowce_dagster.detectors.local.bracket import Bracket
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.video.decode import probe, read_frames
from gotowce_dagster.video.extract import write_jpeg

GAMES = {"naev": ("naev_hostile", "naev_neutral", "naev_negative"), "oolite": ("oolite_red",)}
OTHERS = ("beside", "sides", "elsewhen", "unmarked")
"""Where untouched patches are: one or two marks' widths beside; between the corners of the mark, as near to
the target; at the same place of the screen in a frame in which the mark is elsewhere; in one without."""
STEPS = {"naev_neutral": 5}
"""Every how many frames are looked at, 10 in other clips: this one is short."""
QUALITY, FOUND = 95, 0.3
"""Of the dataset's JPEG files; confidence of a mark."""
PER_FRAME, FOLDS, GAP_S, APART_S = 5, 4, 1.0, 2.0
"""Patches of a frame and kind; parts of a clip; seconds between them, and between two looks at one place."""
INNER = 0.2
"""Share of a mark's sides, on each side, that does not belong to the target: a stand-in for its mask."""
SHAPE = 720, 1280
"""Of the footage, pixels."""
_BLOCK = 16
"""Side in pixels of what JPEG encodes at once with halved chroma."""
PROFILES = Path(__file__).parents[1] / "data" / "profiles"


@dataclass(eq=False)
class Stored:
    """A frame as the dataset has it, and what erasing its marks changes."""

    clip: str
    time_s: float
    length_s: float
    path: Path
    marks: list[tuple[np.ndarray, AnyDesignator]]
    others: list[Path] = field(default_factory=list)
    """Frames half a second before and after."""
    painted: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, bool))
    mark: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, bool))
    """The pixels of the mark itself; what coding left around it may be painted over too."""
    fill: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    """What the painted pixels became (n, 3)."""

    def without_marks(self, image: np.ndarray) -> np.ndarray:
        """The frame with its marks erased."""
        if not self.painted.any():
            return image
        result = image.copy()
        result[self.painted] = self.fill
        return result


def stored(footage: Path, work: Path, profile: Profile, clip: str, step: int) -> list[Stored]:
    """Store every ``step``-th frame of a clip and find its marks."""
    detector = Bracket(profile, min_confidence=FOUND)
    named = {designator.name: designator for designator in profile.designators}
    video = footage / f"{clip}.mp4"
    info = probe(video)
    work.mkdir(parents=True, exist_ok=True)
    found: dict[int, Stored] = {}
    for frame in read_frames(video, set(range(0, info.frames, step))):
        path = work / f"{clip}_{frame.index:06d}.jpg"
        write_jpeg(frame, path, QUALITY)
        (marks,) = detector.detect([read_rgb(path)])
        boxes = [(b, named[str(n)]) for b, n in zip(marks.xyxy, marks.data.get("prompt", []), strict=True)]
        found[frame.index] = Stored(clip, frame.time_s, info.frames / info.fps, path, boxes)
    half = round(info.fps / 2)
    for index, each in found.items():
        each.others = [found[near].path for near in (index - half, index + half) if near in found]
    return list(found.values())


def targets_of(marks: Sequence[tuple[np.ndarray, AnyDesignator]], shape: tuple[int, int]) -> np.ndarray:
    """A stand-in for the targets' masks: the inside of every mark, bool (H, W)."""
    spare = np.zeros(shape, bool)
    for box, _ in marks:
        inset = INNER * (box[2:] - box[:2])
        x1, y1, x2, y2 = np.concatenate([box[:2] + inset, box[2:] - inset]).round().astype(int).clip(0)
        spare[y1:y2, x1:x2] = True
    return spare


def erase_marks(frames: Sequence[Stored]) -> list[float]:
    """Erase the marks of frames in order of time; CPU seconds of each.

    Raises:
        AssertionError: a pixel of a target was changed.
    """
    read, seconds = lru_cache(maxsize=32)(read_rgb), []
    for frame in frames:
        image, others = read(frame.path), [read(path) for path in frame.others]
        spare = targets_of(frame.marks, image.shape[:2])
        begin = time.process_time()
        erased = erase(image, frame.marks, spare, others)
        seconds.append(time.process_time() - begin)
        assert (erased.image[spare] == image[spare]).all(), f"{frame.path}: a target was painted over"
        frame.painted, frame.fill = erased.painted, erased.image[erased.painted]
        frame.mark = np.any([mark_pixels(image, *mark, spare) for mark in frame.marks], axis=0)
    return seconds


def found_again(frames: Sequence[Stored], profile: Profile) -> int:
    """Marks that the detector finds where something was erased."""
    detector, count = Bracket(profile, min_confidence=FOUND), 0
    for frame in frames:
        (marks,) = detector.detect([again(frame.without_marks(read_rgb(frame.path)))])
        boxes = marks.xyxy.round().astype(int)
        count += sum(bool(frame.painted[y1:y2, x1:x2].any()) for x1, y1, x2, y2 in boxes)
    return count


def encoded(image: np.ndarray) -> bytes:
    """A JPEG file as the dataset has erased images."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()


def again(image: np.ndarray) -> np.ndarray:
    """The image as it is read after it was stored once more."""
    data = np.frombuffer(encoded(image), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))


Place = tuple[int, int]
"""Column and row of a patch's upper left corner."""


def stored_patch(image: np.ndarray, place: Place, size: int) -> np.ndarray:
    """A patch of an image that was stored once more; only the blocks around it are encoded."""
    left, top = (max((v - _BLOCK) // _BLOCK, 0) * _BLOCK for v in place)
    right, bottom = (-(-(v + size + _BLOCK) // _BLOCK) * _BLOCK for v in place)
    read = again(image[top:bottom, left:right])
    return read[place[1] - top :, place[0] - left :][:size, :size]


@dataclass(frozen=True, eq=False)
class Wanted:
    """A patch to cut out of a frame."""

    kind: str
    place: Place
    hole: np.ndarray | None = None
    """Painted over before, bool (H, W)."""


class Footage:
    """All stored frames of one game, their marks erased, and the places patches are drawn from."""

    def __init__(self, frames: Sequence[Stored], size: int, seed: int) -> None:
        self.marked = [frame for frame in frames if frame.mark.any()]
        self.unmarked = [frame for frame in frames if not frame.marks]
        self.size, self.rng = size, np.random.default_rng(seed)

    def _painted_places(self, frame: Stored) -> list[Place]:
        """Patches around painted pixels drawn at random, up to three pixels beside them."""
        rows, columns = np.nonzero(frame.mark)
        picked = self.rng.integers(len(rows), size=PER_FRAME)
        beside = self.rng.integers(-3, 4, (PER_FRAME, 2)) - self.size // 2
        spots = np.stack([columns[picked], rows[picked]], axis=1) + beside
        return [(int(x), int(y)) for x, y in spots if self._is_inside((int(x), int(y)), frame)]

    def _is_inside(self, place: Place, frame: Stored) -> bool:
        height, width = frame.painted.shape
        return 0 <= place[0] <= width - self.size and 0 <= place[1] <= height - self.size

    def _is_clean(self, frame: Stored, place: Place) -> bool:
        """Whether a patch lies in the frame, and nothing within two pixels of it was painted over."""
        (x, y), size = place, self.size
        near = frame.painted[max(y - 2, 0) : y + size + 2, max(x - 2, 0) : x + size + 2]
        return self._is_inside(place, frame) and not near.any()

    def _elsewhen(self, frame: Stored, is_right: Callable[[Stored], bool]) -> Stored | None:
        """A marked frame of the same clip, some seconds away, that is right; None if ten are not."""
        clip = [f for f in self.marked if f.clip == frame.clip and abs(f.time_s - frame.time_s) >= APART_S]
        tried = (clip[number] for number in self.rng.permutation(len(clip))[:10])
        return next((other for other in tried if is_right(other)), None)

    def _untouched(self, frame: Stored, place: Place, kind: str) -> tuple[Stored, Place] | None:
        """Frame and place of a patch that never had a mark; None if none was found."""
        rng, box = self.rng, frame.marks[0][0]
        if kind == "sides":
            along, side = rng.uniform(0.4, 0.6), int(rng.integers(4))
            share = np.array(((along, 0.0), (along, 1.0), (0.0, along), (1.0, along))[side])
            middle = box[:2] + share * (box[2:] - box[:2]) + rng.uniform(-4, 4, 2)
            x, y = (middle - self.size / 2).astype(int).tolist()
            return (frame, (x, y)) if self._is_clean(frame, (x, y)) else None
        if kind == "beside":
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 2.5) * (box[2] - box[0])
            moved = (place[0] + int(reach * np.cos(angle)), place[1] + int(reach * np.sin(angle)))
            return (frame, moved) if self._is_clean(frame, moved) else None
        if kind == "elsewhen":
            other = self._elsewhen(frame, lambda f: self._is_clean(f, place))
            return None if other is None else (other, place)
        return (self.unmarked[int(rng.integers(len(self.unmarked)))], place) if self.unmarked else None

    def _wanted(self) -> dict[Path, tuple[Stored, list[Wanted]]]:
        """What to cut out, by frame."""
        result: dict[Path, tuple[Stored, list[Wanted]]] = {}

        def want(frame: Stored, kind: str, place: Place, hole: np.ndarray | None = None) -> None:
            result.setdefault(frame.path, (frame, []))[1].append(Wanted(kind, place, hole))

        for frame in self.marked:
            places = self._painted_places(frame)
            grown = cv2.dilate(frame.painted.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
            other = self._elsewhen(frame, lambda f, grown=grown: not (grown & f.painted).any())
            for place in places:
                want(frame, "erased", place)
                want(frame, "left", place)
                if other:
                    want(other, "untouched", place)
                    want(other, "filled", place, frame.mark)
                for kind in self.rng.permutation(OTHERS):
                    if (found := self._untouched(frame, place, str(kind))) is not None:
                        want(found[0], "others", found[1])
                        break
        return result

    def draw(self) -> dict[str, Patches]:
        """Patches by kind: erased, left, untouched, filled, and others, which never had a mark."""
        drawn: dict[str, list[tuple[Stored, np.ndarray]]] = {}
        for frame, cuts in self._wanted().values():
            image = read_rgb(frame.path)
            twin, filled = frame.without_marks(image), {}
            for cut in cuts:
                source = image if cut.kind == "left" else twin
                if cut.hole is not None:
                    key = id(cut.hole)
                    filled[key] = source = filled[key] if key in filled else hole_filled(twin, cut.hole)
                drawn.setdefault(cut.kind, []).append((frame, stored_patch(source, cut.place, self.size)))
        return {
            kind: Patches(
                np.array([pixels for _, pixels in pairs]),
                np.array([frame.clip for frame, _ in pairs]),
                np.array([frame.time_s for frame, _ in pairs]),
                np.array([frame.length_s for frame, _ in pairs]),
            )
            for kind, pairs in drawn.items()
        }


def hole_filled(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The image with a hole painted over as if it were a mark that inpainting alone could fill."""
    x, y, width, height = cv2.boundingRect(hole.astype(np.uint8))
    window = np.s_[max(y - 96, 0) : y + height + 96, max(x - 96, 0) : x + width + 96]
    result = image.copy()
    result[window] = paint_over(image[window], hole[window])
    return result


def measured(patches: dict[str, Patches]) -> Iterator[tuple[str, str, str, Accuracy]]:
    """Kind of patches, classifier, way to cross-validate, accuracy."""
    others = patches["others"]
    for kind in ("erased", "untouched", "left", "filled"):
        painted = patches[kind]
        for classifier in CLASSIFIERS:
            parts = by_time(painted, others, FOLDS, GAP_S)
            yield kind, classifier.name, "time", accuracy(painted, others, classifier, parts)
            if kind == "erased" and len(set(painted.clip)) > 1:
                parts = by_clip(painted, others)
                yield kind, classifier.name, "clip", accuracy(painted, others, classifier, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for frames, 150 MB")
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--px", nargs="+", type=int, default=[16], help="sides of patches")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    begin = time.process_time()
    for game in arguments.games:
        profile = read_profile(PROFILES / f"{game}.toml")
        frames = [
            frame
            for clip in GAMES[game]
            for frame in stored(arguments.footage, arguments.work, profile, clip, STEPS.get(clip, 10))
        ]
        marked = [frame for frame in frames if frame.marks]
        seconds = erase_marks(marked)
        print(
            f"{game}: {len(marked)} marked frames of {len(frames)}; "
            f"of {sum(len(f.marks) for f in marked)} marks {found_again(marked, profile)} found again; "
            f"{1000 * np.mean(seconds):.1f} CPU ms a frame",
            flush=True,
        )
        for size in arguments.px:
            patches = Footage(frames, size, arguments.seed).draw()
            print(f"  {size} px: " + ", ".join(f"{kind} {len(each)}" for kind, each in patches.items()))
            for kind, name, way, share in measured(patches):
                print(f"    {kind:10} {name:11} by {way}: {share}", flush=True)
    print(f"{time.process_time() - begin:.0f} CPU seconds")


if __name__ == "__main__":
    main()
