"""Detection of wrong propagated masks by the quality gates, on synthetic clips with exact masks.

    python -m benchmarks.losses [--weights FILE] [--seeds N] [--frames N] [--sheet FOLDER]

Every clip is prompted with the object's exact box in its first frame, and tracked without further prompts. A
frame is right if the mask has an IoU of 0.5 with the exact one, or the object is occluded and the mask is
empty; otherwise it is wrong. Prints for each ordeal and ground:

    caught   share of the wrong frames whose state is not sure
    shown    the same of those wrong frames that have a mask at all
    alarms   share of the right frames with a mask whose state is not sure (false alarms)
    kept     share of the frames with a visible object that are both right and sure
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.propagation.gates import History, measure, state
from gotowce_dagster.propagation.image_track import ImageTrack
from gotowce_dagster.segmenters.prompts import Prompt
from tests.support.trials import GROUNDS, ORDEALS, Trial

RIGHT = 0.5
_HIDDEN_PX = 6
_COLOURS = {"sure": (0, 255, 0), "doubtful": (255, 200, 0), "lost": (255, 0, 0)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="sam2_hiera_tiny_image.pt")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--frames", type=int, default=Trial.frames, help="length of every clip")
    parser.add_argument("--ordeals", nargs="*", default=ORDEALS, choices=ORDEALS)
    parser.add_argument("--sheet", type=Path, help="folder for pictures of every clip")
    arguments = parser.parse_args()
    params = Project.find(Path(__file__).parent).params.masks
    track = ImageTrack(arguments.weights, params)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    trials = [
        Trial(ordeal, ground, seed, arguments.frames)
        for ordeal in arguments.ordeals
        for ground in GROUNDS
        for seed in seeds
    ]
    frames = pd.concat([run(track, trial, params, arguments.sheet) for trial in trials])
    if arguments.sheet:
        frames.to_csv(arguments.sheet / "frames.csv", index=False)
    print(frames.groupby(["ordeal", "ground"], sort=False).apply(figures).round(2).to_string())
    print(figures(frames).round(3).to_string())


def run(track: ImageTrack, trial: Trial, params: MasksParams, sheet: Path | None = None) -> pd.DataFrame:
    """Track one clip: one row per frame after the first, with the mask's IoU, measures and state."""
    track.begin()
    history = History(usual_frames=params.propagation.usual_frames)
    rows, tiles = [], []
    for index in range(trial.frames):
        image, truth = trial.picture(index), trial.mask(index)
        if index == 0:
            window = Crop.of_mask(truth)
            assert window is not None, "a trial starts with a visible object"
            prompted = track.prompt(0, image, {"object": Prompt(box=window.box)})["object"]
            history.add(prompted, image, 0)
            continue
        found = track.step(index, image, ["object"])["object"]
        measures = measure(history, found, image, index, None)
        verdict = state(measures, params.propagation.gates)
        if verdict == "sure":
            history.add(found, image, index)
        either = np.count_nonzero(found.mask | truth)
        rows.append(
            {
                "ordeal": trial.ordeal,
                "ground": trial.ground,
                "seed": trial.seed,
                "frame_index": index,
                "seen": np.count_nonzero(truth) >= _HIDDEN_PX,
                "has_mask": bool(found.mask.any()),
                "iou": np.count_nonzero(found.mask & truth) / either if either else 1.0,
                "state": verdict,
                **measures,
            }
        )
        if sheet:
            tiles.append(_tile(image, found.mask, truth, rows[-1]))
    if sheet:
        _write_sheet(sheet / f"{trial.ordeal}_{trial.ground}_{trial.seed}.png".replace(" ", "_"), tiles)
    return pd.DataFrame(rows)


def figures(frames: pd.DataFrame) -> pd.Series:
    """Compute the figures described in the module's docstring."""
    right = (frames["seen"] & (frames["iou"] >= RIGHT)) | (~frames["seen"] & ~frames["has_mask"])
    unsure = frames["state"] != "sure"
    return pd.Series(
        {
            "frames": len(frames),
            "wrong": (~right).sum(),
            "caught": unsure[~right].mean(),
            "shown": unsure[~right & frames["has_mask"]].mean(),
            "alarms": unsure[right & frames["has_mask"]].mean(),
            "kept": (right & ~unsure)[frames["seen"]].mean(),
        }
    )


def _tile(image: np.ndarray, mask: np.ndarray, truth: np.ndarray, row: dict) -> np.ndarray:
    tile = image.copy()
    for one, colour in ((truth, (255, 255, 255)), (mask, _COLOURS[row["state"]])):
        lines, _ = cv2.findContours(one.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, lines, -1, colour, 1)
    tile = cv2.resize(tile, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    text = f"{row['frame_index']} {row['state']} {row['iou']:.2f}"
    return cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)


def _write_sheet(path: Path, tiles: list[np.ndarray], columns: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
