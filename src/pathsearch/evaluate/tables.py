"""Reading the two kinds of labelled tables: pictures, and places on slides."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pathsearch.errors import UsageError

__all__ = ["LabelTable", "RegionTable", "read_labels", "read_regions", "table_kind"]

_LABELS = ("path", "label", "group")
_REGIONS = ("slide", "x", "y", "label")
_DELIMITERS = ",\t;"


@dataclass(frozen=True)
class LabelTable:
    """Labelled pictures.

    Attributes
    ----------
    paths : tuple of Path
        Where each picture lies.
    names : tuple of str
        The paths as the table has them.
    labels, groups : str arrays, shape (n,)
        The class, and the case, slide or source that the picture comes from.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    labels: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class RegionTable:
    """Labelled places on slides.

    Attributes
    ----------
    slides : str array, shape (n,)
        As the table has them: paths relative to it, or ids in a library.
    xy : float64 array, shape (n, 2)
        Centres in level-0 pixels.
    labels, groups : str arrays, shape (n,)
        The group is the slide, or the column ``group`` where there is one.
    """

    slides: npt.NDArray[np.str_]
    xy: npt.NDArray[np.float64]
    labels: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]


def table_kind(path: Path | str) -> Literal["labels", "regions"]:
    """Which of the two a table is, by its header.

    Raises
    ------
    UsageError
        It is neither, or cannot be read.
    """
    columns = set(_rows(Path(path))[0])
    if columns.issuperset(_LABELS):
        return "labels"
    if columns.issuperset(_REGIONS):
        return "regions"
    raise UsageError(
        f"{path}: needs the columns {', '.join(_LABELS)} (pictures; the group is the case, slide "
        f"or source of each) or {', '.join(_REGIONS)} (places on slides, centres in level-0 "
        f"pixels); it has {', '.join(sorted(columns)) or 'none'}.",
        path=str(path),
    )


def read_labels(path: Path | str) -> LabelTable:
    """Read a table of labelled pictures.

    Parameters
    ----------
    path : Path or str
        CSV (comma, semicolon or tab) with the columns ``path`` (relative to the table, or
        absolute), ``label`` and ``group``; others are ignored.

    Raises
    ------
    UsageError
        A column or a value is missing, or a picture is listed twice.
    """
    path = Path(path)
    rows = _table(path, _LABELS)
    names = [row["path"] for row in rows]
    _refuse_repeats(path, names)
    return LabelTable(
        paths=tuple(path.parent / name.replace("\\", "/") for name in names),
        names=tuple(names),
        labels=np.array([row["label"] for row in rows]),
        groups=np.array([row["group"] for row in rows]),
    )


def read_regions(path: Path | str) -> RegionTable:
    """Read a table of labelled places on slides.

    Parameters
    ----------
    path : Path or str
        CSV with the columns ``slide``, ``x``, ``y`` (level-0 pixels, centres), ``label``,
        and optionally ``group`` (a case of several slides).

    Raises
    ------
    UsageError
        A column or a value is missing, or a place is not a pair of numbers.
    """
    path = Path(path)
    rows = _table(path, _REGIONS)
    xy = [[_number(path, number, row, axis) for axis in "xy"] for number, row in _numbered(rows)]
    return RegionTable(
        slides=np.array([row["slide"] for row in rows]),
        xy=np.array(xy, dtype=np.float64),
        labels=np.array([row["label"] for row in rows]),
        groups=np.array([row.get("group") or row["slide"] for row in rows]),
    )


def _numbered(rows: Sequence[dict[str, str]]) -> list[tuple[int, dict[str, str]]]:
    """Rows with their line in the file, as an editor shows it."""
    return list(enumerate(rows, start=2))


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header (lower case) and lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).", path=str(path)) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not a text file in UTF-8.", path=str(path)) from None
    if not text.strip():
        raise UsageError(f"{path}: is empty.", path=str(path))
    first = text.lstrip().splitlines()[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path}: is not a CSV table ({error}).", path=str(path)) from None
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    return [cell.strip().lower() for cell in lines[0]], lines[1:]


def _table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines as dicts; every one of `columns` filled."""
    head, lines = _rows(path)
    missing = [name for name in columns if name not in head]
    if missing:
        raise UsageError(
            f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"needed are {', '.join(columns)}.",
            path=str(path),
        )
    rows = [dict(zip(head, (c.strip() for c in line), strict=False)) for line in lines]
    for number, row in _numbered(rows):
        empty = [name for name in columns if not row.get(name)]
        if empty:
            raise UsageError(
                f"{path}: row {number} has no {', '.join(empty)}.", path=str(path), row=number
            )
    if len(rows) < 2:
        raise UsageError(f"{path}: needs at least two rows.", path=str(path))
    return rows


def _refuse_repeats(path: Path, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=2):
        if name in seen:
            raise UsageError(
                f"{path}: {name} is listed twice (rows {seen[name]} and {number}); "
                "it would find itself.",
                path=str(path),
            )
        seen[name] = number


def _number(path: Path, number: int, row: dict[str, Any], axis: str) -> float:
    try:
        value = float(row[axis])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"{path}: row {number}: {axis} is {row[axis]!r}, not a number of level-0 pixels.",
            path=str(path),
            row=number,
        )
    return value
