"""Memory and speed of propagation, compared with the sam2 package's own video predictor.

    python -m benchmarks.propagation_memory [--frames 2000] [--picture docs/pictures/propagation_memory.png]

Both run SAM 2.1 tiny with the same random weights at a small input size, because only memory and the cost per
frame are measured: five objects, prompted in the first frame and propagated forward, from the same JPEG files
to masks, in the same precision, each in its own process. Prints peak memory and CPU seconds per frame, and
plots memory over frames. Takes six to ten minutes on two CPU cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.ratios import compare
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.device import inference
from gotowce_dagster.pictures.curves import figure_of, painted
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.propagation.sam2 import Sam2Propagator
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build, load

WEIGHTS = "random_tiny.pt"
"""Not the name of published weights: those are refused if they are not what their name says."""
CONFIGS.setdefault(WEIGHTS, CONFIGS["sam2.1_hiera_tiny.pt"])
SIDE = 128
HEIGHT, WIDTH = 270, 480
_OURS, _THEIRS = "#0072b2", "#d55e00"

POINTS = {f"object {number}": np.array([(80.0 * (number + 1), 135)]) for number in range(5)}


def main() -> None:
    """Run everything, print the table, plot the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=2000, help="number of frames of our long run")
    parser.add_argument("--short", type=int, default=200, help="of the short ones; one has twice as many")
    parser.add_argument("--quick", action="store_true", help="a few frames, all in this process")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--child", nargs=3, metavar=("WHO", "FOLDER", "FRAMES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, folder, frames = arguments.child
        print(json.dumps(measure(who, Path(folder), int(frames))))
        return
    short, frames = (2, 6) if arguments.quick else (arguments.short, arguments.frames)
    run = measure_here if arguments.quick else fresh_process
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), max(2 * short, frames), (short, 2 * short))
        runs = {
            (who, count): run(who, Path(folder), count)
            for who, count in (
                ("ours", short),
                ("reference", short),
                ("ours", frames),
                ("reference", 2 * short),
            )
        }
    report(runs, short, frames)
    if arguments.picture:
        write_picture(draw(runs, short, frames), arguments.picture)


def prepare(folder: Path, frames: int, counts: Sequence[int]) -> None:
    """Write random weights, and JPEG files of a moving pattern."""
    import torch

    torch.manual_seed(0)
    torch.save({"model": build(CONFIGS[WEIGHTS], SIDE).state_dict()}, folder / WEIGHTS)
    rng = np.random.default_rng(0)
    pattern = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, 2 * WIDTH, 3), np.uint8), (0, 0), 5)
    (folder / "long").mkdir()
    for index in range(frames):
        shown = np.roll(pattern, -index, axis=1)[:, :WIDTH]
        cv2.imwrite(str(folder / "long" / f"{index}.jpg"), shown)
    for count in counts:
        (folder / str(count)).mkdir()
        for index in range(count):
            os.link(folder / "long" / f"{index}.jpg", folder / str(count) / f"{index}.jpg")


def settings(folder: Path) -> dict[str, str]:
    """The environment of a run: weights in the folder, no GPU, no bars."""
    return {"GOTOWCE_WEIGHTS_DIR": str(folder), "CUDA_VISIBLE_DEVICES": "", "TQDM_DISABLE": "1"}


def measure_here(who: str, folder: Path, frames: int) -> dict:
    """Run ``measure`` in this process; memory is then that of all runs so far."""
    os.environ |= settings(folder)
    return measure(who, folder, frames)


def fresh_process(who: str, folder: Path, frames: int) -> dict:
    """Run ``measure`` in its own process."""
    command = [sys.executable, "-m", "benchmarks.propagation_memory", "--child", who, folder, str(frames)]
    environment = os.environ | settings(folder)
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parent.parent, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(who: str, folder: Path, frames: int) -> dict:
    """Measure resident memory in MB after each frame, its peak, and CPU seconds per frame."""
    walk = {"ours": ours, "reference": reference}[who](folder, frames)
    next(walk)
    held = []
    start = time.process_time()
    for _ in walk:
        held.append(resident_mb())
    seconds = (time.process_time() - start) / frames
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"held": held, "peak": peak, "seconds": seconds}


def ours(folder: Path, frames: int) -> Iterator[None]:
    """Run our propagator: yield once when the model is loaded, then after every frame."""
    params = Project.find(Path(__file__).parent).params.masks
    propagation = params.propagation.model_copy(update={"input_px": SIDE})
    propagator = Sam2Propagator(WEIGHTS, params.model_copy(update={"propagation": propagation}))
    yield
    for index in range(frames):
        image = np.array(Image.open(folder / "long" / f"{index}.jpg"))
        if index == 0:
            propagator.prompt(0, image, {name: Prompt(at, np.ones(1, int)) for name, at in POINTS.items()})
        propagator.step(index, image, list(POINTS))
        yield


def reference(folder: Path, frames: int) -> Iterator[None]:
    """Run the package's SAM2VideoPredictor in the same way."""
    model = build(
        CONFIGS[WEIGHTS],
        SIDE,
        "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictor",
        "++model.binarize_mask_from_pts_for_mem_enc=true",
    ).eval()
    load(model, folder / WEIGHTS)
    yield
    with inference("cpu"):
        state = model.init_state(str(folder / str(frames)))
        for name, at in POINTS.items():
            model.add_new_points_or_box(state, 0, name, points=at, labels=np.ones(1, np.int32))
        for _, _, logits in model.propagate_in_video(state):
            (logits[:, 0] > 0).numpy()
            yield


def resident_mb() -> float:
    """Current resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(runs: dict[tuple[str, int], dict], short: int, frames: int) -> None:
    """Print peaks and CPU seconds per frame, which other load on the machine hardly changes."""
    print(f"SAM 2.1 tiny, random weights, at {SIDE} pixels, {len(POINTS)} objects, on the CPU")
    for (who, count), run in runs.items():
        cost = f"{run['seconds']:.3f} CPU s per frame"
        print(f"{who:>9}, {count:5d} frames: peak {run['peak']:6.0f} MB, {cost}")
    ratio = runs["ours", frames]["peak"] / runs["ours", short]["peak"]
    print(f"ours: peak at {frames} frames is {ratio:.3f} times that at {short}")
    expected = extrapolated(runs, short, frames)
    print(f"reference: {expected:.0f} MB at {frames} frames, from its runs of {short} and {2 * short}")
    against = "the sam2 package's video predictor"
    peak = runs["ours", frames]["peak"]
    compare(f"propagation, memory at {frames} frames", peak, expected, against=against, unit="MB")
    ours, reference = (runs[who, short]["seconds"] for who in ("ours", "reference"))
    compare("propagation, time", ours, reference, against=against, unit="CPU s a frame")


def extrapolated(runs: dict[tuple[str, int], dict], short: int, frames: int) -> float:
    """Extrapolate the peak of the reference to a number of frames from its two runs."""
    first, second = (runs["reference", count]["peak"] for count in (short, 2 * short))
    return second + (second - first) / short * (frames - 2 * short)


def draw(runs: dict[tuple[str, int], dict], short: int, frames: int) -> np.ndarray:
    """Plot memory over frames, RGB uint8 (H, W, 3)."""
    figure, (axis,) = figure_of(1, width=7.0)
    axis.plot(runs["reference", 2 * short]["held"], color=_THEIRS, label="SAM2VideoPredictor of sam2")
    lengths = np.array([short, 2 * short, frames])
    peaks = [extrapolated(runs, short, count) for count in lengths]
    axis.plot(lengths, peaks, ":", color=_THEIRS, label="its peak by length of the video, extrapolated")
    axis.plot(lengths[:2], peaks[:2], "o", color=_THEIRS)
    axis.plot(runs["ours", frames]["held"], color=_OURS, label="gotowce-dagster")
    axis.set(
        xlabel="propagated frames",
        ylabel="resident memory, MB",
        ylim=(0, None),
        xlim=(0, frames),
        title=f"five objects, SAM 2.1 tiny at {SIDE} pixels",
    )
    axis.legend(loc="lower right")
    return painted(figure)


if __name__ == "__main__":
    main()
