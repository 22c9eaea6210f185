from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.designators.profile import Profile, read_profile, write_profile
from tests.detectors.marks import PROFILE

SHIPPED = Path(__file__).parents[2] / "data" / "profiles"

GOOD = """
name = "game"
videos = ["game*"]

[[designators]]
name = "target"
class_name = "ship"
arm = [0.2, 0.25]
arm_px = 9
gap = [0.5, 0.6]
thickness_px = 2
size_px = [25, 0]

[[designators.colours]]
ycrcb = [72, 184, 114]
tolerance = [51, 33, 13]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("arm_px = 9", "arm_pix = 9", "designators.0.arm_pix: there is no such field"),
        ("arm_px = 9\n", "", "designators.0.arm_px: is missing"),
        ('name = "game"', 'nome = "game"', "nome: there is no such field"),
        ("arm = [0.2, 0.25]", "arm = [0.25, 0.2]", "arm: the smallest comes first"),
        ("arm = [0.2, 0.25]", "arm = [0.2, 0.6]", "arm: two arms of 0.6 do not fit"),
        ("gap = [0.5, 0.6]", "gap = [0.7, 0.8]", "gap: two arms of 0.2 and a gap of 0.7"),
        ("gap = [0.5, 0.6]", "gap = [0.0, 0.6]", "gap: at least 0.1"),
        ("size_px = [25, 0]", "size_px = [12, 0]", "size_px: a side of 12.0 px has no room"),
        ("size_px = [25, 0]", "size_px = [25, 20]", "size_px: the smallest comes first"),
        (
            "ycrcb = [72, 184, 114]",
            "ycrcb = [72, 300, 114]",
            "colours.0.ycrcb.1: expected at most 255, got 300",
        ),
        ("thickness_px = 2", "thickness_px = 0", "thickness_px: expected at least 0.5, got 0"),
        ("[[designators.colours]]", "[[designators.colors]]", "designators.0.colors: there is no such field"),
        ('videos = ["game*"]', "videos = [", "not valid TOML"),
        ("arm_px = 9", "arm_px = nan", "designators.0.arm_px: expected a finite number, got nan"),
        ("arm_px = 9", "arm_px = inf", "designators.0.arm_px: expected a finite number, got inf"),
        ("arm_px = 9", "arm_px = -9", "designators.0.arm_px: expected at least 3"),
        ("arm_px = 9", 'arm_px = "9"', "designators.0.arm_px: expected a number, got '9'"),
        ("arm_px = 9", "arm_px = true", "designators.0.arm_px: expected a number, got true"),
        ("arm = [0.2, 0.25]", "arm = [0.2, nan]", "designators.0.arm.1: expected a finite number"),
        ("gap = [0.5, 0.6]", "gap = [-0.5, 0.6]", "designators.0.gap.0: expected at least 0"),
        ("size_px = [25, 0]", "size_px = [nan, 0]", "designators.0.size_px.0: expected a finite number"),
        ("size_px = [25, 0]", "size_px = [25, inf]", "designators.0.size_px.1: expected a finite number"),
        ("size_px = [25, 0]", "size_px = [25, 1e9]", "designators.0.size_px.1: expected at most 65536"),
        ("size_px = [25, 0]", "size_px = [25]", "designators.0.size_px.1: is missing"),
        ("thickness_px = 2", "thickness_px = 2\naspect = [nan, nan]", "aspect.0: expected a finite number"),
        ("thickness_px = 2", "thickness_px = 2\naspect = [-1, 1]", "aspect.0: expected more than 0"),
        ("thickness_px = 2", "thickness_px = 2\naspect = [0, 1]", "aspect.0: expected more than 0"),
        ("thickness_px = 2", "thickness_px = 2\ninset_px = -9", "inset_px: expected at least -8"),
        ("ycrcb = [72, 184, 114]", "ycrcb = [72, 1.5, 114]", "ycrcb.1: expected a whole number, got 1.5"),
        ("ycrcb = [72, 184, 114]", "ycrcb = [72, true, 114]", "ycrcb.1: expected a whole number, got true"),
        ('name = "target"', 'name = "../target"', "designators.0.name: '../target' is a path"),
        ('class_name = "ship"', 'class_name = " "', "designators.0.class_name: a name must hold"),
    ],
)
def test_bad_profile_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "game.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_profile(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_two_designators_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "game.toml"
    path.write_text(GOOD + GOOD[GOOD.index("[[designators]]") :], encoding="utf-8")
    with pytest.raises(InputError, match="more than one is named target"):
        read_profile(path)


def test_missing_profile_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gotowce calibrate"):
        read_profile(tmp_path / "none.toml")


def test_written_profile_reads_back_equal_and_compact(tmp_path: Path) -> None:
    path = tmp_path / "drawn.toml"
    write_profile(PROFILE, path)
    assert read_profile(path) == PROFILE
    assert "arm = [0.22, 0.28]" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("patterns", "key", "fits"),
    [
        (("naev*",), "naev_hostile", True),
        (("naev*",), "my_naev", False),
        (("a", "oolite_?"), "oolite_2", True),
        ((), "anything", False),
    ],
)
def test_patterns_choose_videos(patterns: tuple[str, ...], key: str, fits: bool) -> None:
    assert Profile(name="p", videos=patterns).fits(key) is fits


@pytest.mark.parametrize(
    ("name", "designators"), [("none", []), ("naev", ["hostile", "neutral"]), ("oolite", ["target"])]
)
def test_shipped_profiles_are_valid(name: str, designators: list[str]) -> None:
    profile = read_profile(SHIPPED / f"{name}.toml")
    assert profile.name == name
    assert [d.name for d in profile.designators] == designators
