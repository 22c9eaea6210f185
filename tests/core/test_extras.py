"""What needs an optional dependency says which one and how to install it, and nothing else needs any."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError, MissingExtraError
from gotowce_dagster.core.extras import EXTRAS, obstacle, require

ROOT = Path(__file__).parents[2]
MODULES = sorted({module for modules in EXTRAS.values() for module in modules})
SERVES_AN_EXTRA = (
    "gotowce_dagster.detectors.hosted",
    "gotowce_dagster.review.assist_",
    "gotowce_dagster.cluster.launcher",
)
BLOCK = f"import sys\nsys.modules.update(dict.fromkeys({MODULES!r}))\n"
"""Each of these modules is as if it were not installed."""


def without_extras(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has none of the extras."""
    command = [sys.executable, "-c", BLOCK + code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_table_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) == set(EXTRAS)
    assert not [extra for extra in EXTRAS if obstacle(extra)], "make install brings all of them"


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_extra_is_one_sentence_with_its_name_and_the_command(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(extra, "this")
    for module in EXTRAS[extra]:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(MissingExtraError) as error:
                require(extra, "this")
            assert str(error.value) == (
                f"this needs the extra '{extra}', which is not installed ({module}); "
                f"run `pip install 'gotowce-dagster[{extra}]'`"
            )
            assert isinstance(error.value, InputError), "exit code 2"


@pytest.mark.integration
def test_all_the_rest_imports_without_extras() -> None:
    code = f"""
import importlib, json, pkgutil
import gotowce_dagster
found = pkgutil.walk_packages(gotowce_dagster.__path__, "gotowce_dagster.", onerror=lambda name: None)
names = [module.name for module in found if not module.name.startswith({SERVES_AN_EXTRA!r})]
for name in names:
    importlib.import_module(name)
from gotowce_dagster.stages.table import STAGES
print(json.dumps([names, list(STAGES)]))
"""
    done = without_extras(code)
    assert done.returncode == 0, done.stderr
    names, stages = json.loads(done.stdout)
    assert {f"gotowce_dagster.stages.{stage}" for stage in stages} < set(names)
    assert "gotowce_dagster.definitions" in names
