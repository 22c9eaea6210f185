"""Strict reader of small hand-written CSV files: no row is shifted, truncated or misnumbered."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.core.errors import InputError


def read_rows(path: Path, columns: Sequence[str], others: bool = False) -> pd.DataFrame:
    """The rows as stripped text, indexed by their line in the file; blank lines are skipped.

    Args:
        columns: that the file must have, in any order.
        others: it may have further ones, which are left out.

    Raises:
        InputError: the file cannot be read, lacks a column or has one twice, or a row has more or fewer
            fields than the header; the line is named.
    """
    lines = _read_lines(path, expected := f"expected a CSV with the columns {','.join(columns)}")
    header = lines[0][1]
    missing = [name for name in columns if header.count(name) != 1]
    if missing:
        raise InputError(f"{path}: lacks the column(s) {', '.join(missing)}, or has one twice; {expected}")
    if not others and (unknown := sorted(set(header) - set(columns))):
        raise InputError(f"{path}: has the unknown column(s) {', '.join(unknown)}; {expected}")
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise InputError(f"{path}: row {number}: has {len(row)} fields, the header has {len(header)}")
    rows = pd.DataFrame(
        [row for _, row in lines[1:]], columns=header, index=[n for n, _ in lines[1:]], dtype=str
    )
    return rows[list(columns)]


def read_header(path: Path) -> list[str]:
    """The names of its columns.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    return _read_lines(path, "expected a CSV with a header")[0][1]


def to_numbers(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The columns as float64; NaN for anything but finite numbers."""
    numbers = rows[list(columns)].apply(pd.to_numeric, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def refuse(path: Path, problems: Mapping[str, pd.Series]) -> None:
    """Raises: InputError: the first problem of any row, with its line."""
    for what, bad in problems.items():
        if bad.any():
            raise InputError(f"{path}: row {bad.index[bad.to_numpy(bool)][0]}: {what}")


def _read_lines(path: Path, expected: str) -> list[tuple[int, list[str]]]:
    """Line number and fields of each non-blank line; at least one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            lines = [(reader.line_num, [field.strip() for field in row]) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {expected}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8 ({error}); {expected}") from None
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        raise InputError(f"{path}: is empty; {expected}")
    return lines
