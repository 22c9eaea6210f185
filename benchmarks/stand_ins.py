"""Build small stand-ins of models whose weights are large: their architecture, with random weights.

    python -m benchmarks.stand_ins FOLDER

FOLDER/grounding_dino is for the kind zero_shot, FOLDER/kosmos2 for kosmos2; the same ones that the tests use.
They are loaded and run like the real models, so a comparison with them exercises every frame, row and
picture, but their boxes are meaningless: those of Grounding DINO are random, and Kosmos-2 gives the same
response for every image.
"""

import argparse
from pathlib import Path

from tests.detectors import standins

# "A square", from patch 430 to 561 of 32 by 32: a box in the centre of the image.
RESPONSE = ["▁a", "<phrase>", "▁square", "</phrase>"]
PLACES = ["<object>", "<patch_index_0430>", "<patch_index_0561>", "</object>"]


def build(folder: Path) -> list[Path]:
    """Write both and return their folders."""
    return [
        standins.grounding_dino(folder / "grounding_dino"),
        standins.kosmos2(folder / "kosmos2", [*RESPONSE, *PLACES]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    for made in build(parser.parse_args().folder):
        print(made)


if __name__ == "__main__":
    main()
