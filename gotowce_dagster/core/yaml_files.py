"""The one YAML dialect: YAML 1.2 as DVC reads it, by the same library.

The other dialect, YAML 1.1, takes other bare words for numbers, dates and truth values. What DVC and this
package read differently is wrong in one of them, so every file that both read is read and written here.
"""

import re
from copy import deepcopy
from functools import cache, lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
import yaml.resolver
from ruamel.yaml import YAML, ScalarNode
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file, read_text

_TEXT_TAG = "tag:yaml.org,2002:str"
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
_TRUTH_WORDS = frozenset({"y", "n"})
"""Booleans of the YAML 1.1 specification, which some parsers follow."""

_DEEPEST = 100
_REPEATED = re.compile(r'found duplicate key "(.*?)" with', re.DOTALL)
_INDENTED = re.compile(r"^[ \t?-]*", re.MULTILINE)


def read_yaml(path: Path, missing: str = "run this inside a gotowce project") -> Any:
    """Parse a YAML file as DVC does; an empty one gives an empty dict.

    Args:
        missing: what to do if the file does not exist.

    Raises:
        InputError: naming the file and the line: it is missing, not UTF-8, not YAML, has a key twice, or is
            nested more than 100 levels deep.
    """
    return parse_yaml(read_text(path, missing), str(path))


def parse_yaml(text: str, name: str, typ: str = "safe") -> Any:
    """Parse YAML; see read_yaml.

    Args:
        name: what errors call it.
        typ: ``safe``; or ``base``, which leaves every value the text that it is.
    """
    try:
        _refuse_depth(text, name)
        return deepcopy(_loaded(text, typ))
    except YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {_problem(error)}") from None
    except RecursionError:
        raise InputError(f"{name}: nested too deeply to be read; make it flatter") from None
    except (ValueError, OverflowError, TypeError) as error:  # for instance a date with a 13th month
        raise InputError(f"{name}: not valid YAML: {error}") from None


@lru_cache(maxsize=32)
def _loaded(text: str, typ: str) -> Any:
    """What a text means. The definitions ask for the same files once a stage: a copy takes a twentieth."""
    # As DVC's parse_yaml.
    return YAML(typ=typ).load(text) or {}


def read_texts(path: Path, missing: str) -> Any:
    """Parse a YAML file in which every key and value is text, quoted or not, as older versions wrote them.

    Raises:
        InputError: as read_yaml.
    """
    return parse_yaml(read_text(path, missing), str(path), typ="base")


def dump_yaml(content: Any) -> str:
    """YAML that all parsers read alike: text is quoted if a parser could take it for another type."""
    dumper = YAML()
    dumper.default_flow_style = False
    dumper.width = 2**16
    buffer = StringIO()
    dumper.dump(_quoted(content), buffer)
    return buffer.getvalue()


def write_yaml(path: Path, content: Any, header: str = "") -> None:
    """Write YAML atomically, unless the file has the same content already."""
    text = header + dump_yaml(content)
    if not path.exists() or path.read_bytes() != text.encode():
        with fresh_file(path) as new:
            new.write_text(text, encoding="utf-8")


@cache
def reads_as_text(word: str) -> bool:
    """Whether YAML 1.1 and 1.2 both read the bare word as text, not as a number, date or boolean."""
    tags = (
        VersionedResolver(version="1.2").resolve(ScalarNode, word, (True, False)),
        VersionedResolver(version="1.1").resolve(ScalarNode, word, (True, False)),
        yaml.resolver.Resolver().resolve(yaml.ScalarNode, word, (True, False)),
    )
    return all(str(tag) == _TEXT_TAG for tag in tags) and word.lower() not in _TRUTH_WORDS


def _quoted(content: Any) -> Any:
    if isinstance(content, dict):
        return {_quoted(key): _quoted(content[key]) for key in sorted(content)}
    if isinstance(content, list):
        return [_quoted(item) for item in content]
    if isinstance(content, str) and not (_BARE.fullmatch(content) and reads_as_text(content)):
        return DoubleQuotedScalarString(content)
    return content


def _refuse_depth(text: str, name: str) -> None:
    """Refuse deeply nested text, which crashes the process in the parser's C code."""
    at_most = text.count("[") + text.count("{") + max(map(len, _INDENTED.findall(text)), default=0)
    if at_most <= _DEEPEST:
        return
    depth = 0
    for event in YAML(typ="safe").parse(text):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST:
            raise InputError(f"{name}: nested more than {_DEEPEST} levels deep; make it flatter")


def _problem(error: YAMLError) -> str:
    """The error as one sentence with its position, without the library's hints."""
    if not isinstance(error, MarkedYAMLError):
        return str(error).splitlines()[0]
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = " ".join(str(error.problem or error.context).split())
    if isinstance(error, DuplicateKeyError) and (key := _REPEATED.search(str(error.problem))):
        problem = f"the key {key[1]} occurs twice; keep one of them"
    return place + problem
