"""Build small stand-ins of models whose weights are large: their architecture, with random weights.

    python -m benchmarks.stand_ins FOLDER

FOLDER/grounding_dino is for the kind zero_shot, FOLDER/kosmos2 for kosmos2; the same ones that the tests use.
They are loaded and run as the real ones are, so a comparison with them shows the way of every frame, row and
picture, but their boxes mean nothing: Grounding DINO's lie anywhere, Kosmos-2 says one sentence of every
picture.
"""

import argparse
from pathlib import Path

from tests.detectors import standins

# "A square", from place 430 to 561 of 32 by 32: a box in the middle of the picture.
SAYS = ["▁a", "<phrase>", "▁square", "</phrase>"]
PLACES = ["<object>", "<patch_index_0430>", "<patch_index_0561>", "</object>"]


def build(folder: Path) -> list[Path]:
    """Write both; give their folders."""
    return [
        standins.grounding_dino(folder / "grounding_dino"),
        standins.kosmos2(folder / "kosmos2", [*SAYS, *PLACES]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    for made in build(parser.parse_args().folder):
        print(made)


if __name__ == "__main__":
    main()
