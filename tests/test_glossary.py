"""Names, comments, messages and docs use the terms of the field, not the project's former ones."""

import re
import subprocess

import pytest

from tests.conftest import ROOT

TERMS = {
    r"(?:un)?told|said": "settings, parameters, input, reported, given",
    r"befalls?|befell": "happens to",
    r"carry|carries|carried|carrying": "propagate, track",
    r"(?:is|are|was|were|be|been|not|already|lies?|stands?) there(?! (?:is|are)\b)": "ground truth, exists",
    r"there and back|comes? home": "round trip; push, pull",
    r"(?-i:[Hh]ome)(?!\()": "pull; or the name of the folder",
    r"known boxes|held to be true|holds? to be true": "ground truth",
    r"found out": "detected, measured",
    r"(?:looked at|chosen) again": "re-ranked, second pass",
    r"speaks? (?:for|against)": "quality gates, evidence",
    r"answers? that says?": "response, unparseable response",
    r"what (?:the|a) machine computes with": "device",
    r"as a model has seen it": "cached image embedding",
    r"where everything lies": "file layout",
    r"goes? before": "takes precedence over",
    r"behind one face": "adapter, common interface",
    r"set [^.]{1,40} against|h[eo]ld against": "evaluate against, compare with",
    r"nobody vouches": "not trusted, unreviewed",
    r"neither here nor reachable": "missing and cannot be downloaded",
    r"says(?=: str)": "message, as the name of a parameter",
    r"what is (?:told|said)": "the settings, the report",
}
EXEMPT = {
    ("home", "tests/assets/test_runs.py"): "the folder DAGSTER_HOME",
    ("home", "tests/assets/test_webserver.py"): "the folder DAGSTER_HOME",
    ("home", "tests/stages/test_finetuned_model.py"): "the folder HOME of a user",
    ("home", "gotowce_dagster/core/offline.py"): "the folder HOME of a user",
}
"""(word, file) -> what the word means in that file."""
FOLDERS = ("gotowce_dagster", "tests", "benchmarks", "docs", "videos", "studies", "code", "data")
FILES = (
    "README.md",
    "SECURITY.md",
    "Makefile",
    "params.yaml",
    "dvc.yaml",
    "pyproject.toml",
    "hatch_build.py",
)
SUFFIXES = (".py", ".md", ".yaml", ".toml", ".jinja", ".html", "Makefile")
# Path.home() is a function of Python.
_WORD = re.compile(rf"(?<![\w.])(?:{'|'.join(f'(?:{term})' for term in TERMS)})(?!\w)", re.IGNORECASE)
_PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")


def former_terms(text: str) -> list[tuple[int, str]]:
    """The former terms in a text, also as parts of names, with their line numbers."""
    return [
        (number, match.group().lower())
        for number, line in enumerate(text.splitlines(), start=1)
        for match in _WORD.finditer(_PARTS.sub(" ", line))
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It was told twice.", ["told"]),
        ("def test_bad_files_are_told():", ["told"]),
        ("class WhatWasSaid:", ["said"]),
        ("if nothing is there", ["is there"]),
        ("there is nothing, and there are none", []),
        ("how many are there is counted", []),
        ('Path.home() / os.environ["XDG_CACHE_HOME"]', []),
        ("the boxes come home", ["come home"]),
        ("a threshold", []),
        ("Set the labels against the truth.", ["set the labels against"]),
    ],
)
def test_former_terms_are_seen(text: str, found: list[str]) -> None:
    assert [term for _, term in former_terms(text)] == found


def test_no_file_uses_former_terms() -> None:
    listed = subprocess.run(
        ["git", "ls-files", *FOLDERS, *FILES], cwd=ROOT, check=True, capture_output=True, text=True
    )
    wrong, used = [], set()
    for name in listed.stdout.splitlines():
        if not name.endswith(SUFFIXES) or name == "tests/test_glossary.py" or not (ROOT / name).is_file():
            continue
        for number, term in former_terms((ROOT / name).read_text(encoding="utf-8")):
            if (term, name) in EXEMPT:
                used.add((term, name))
            else:
                wrong.append(f"{name}:{number}: {term!r}")
    assert wrong == []
    assert used == set(EXEMPT), "exemptions that are not needed"
