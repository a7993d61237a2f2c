"""The manifest: a CSV or TSV with one slide a line.

Columns: ``path`` (relative to the manifest's folder, or absolute), and optionally
``slide_id``, ``case_id`` and ``mpp`` (µm per level-0 pixel). Every further column becomes
metadata that can be filtered.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathsearch.config import SANE_MPP
from pathsearch.errors import UsageError

Value = str | int | float
_OWN = ("path", "slide_id", "case_id", "mpp")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One line.

    Attributes
    ----------
    path : Path
        Absolute.
    slide_id, case_id : str
        Empty where not given.
    mpp : float or None
        µm per level-0 pixel, where it overrides the file's.
    metadata : mapping
        The further columns; numbers where a whole column is numbers.
    line : int
        In the file, for messages.
    """

    path: Path
    slide_id: str = ""
    case_id: str = ""
    mpp: float | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)
    line: int = 0


def read_manifest(path: Path | str, folders: Sequence[Path] = ()) -> list[ManifestRow]:
    """Read a manifest.

    Parameters
    ----------
    path : Path or str
    folders : sequence of Path
        Where a relative path is also looked for, when it is not beside the manifest.

    Raises
    ------
    UsageError
        The file cannot be read, has no ``path`` column, names a slide twice or states a
        resolution that no microscope has; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason}).", path=str(path)) from None
    lines = text.splitlines()
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    names = [(name or "").strip() for name in reader.fieldnames or ()]
    if "path" not in names:
        raise UsageError(f"{path}: needs a column 'path'; it has: {', '.join(names) or 'none'}.")
    if len(set(names)) != len(names):
        raise UsageError(f"{path}: a column name occurs twice.")
    reader.fieldnames = names
    raw = [
        (reader.line_num, {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)})
        for row in reader
    ]
    numeric = {name for name in names if name not in _OWN and _all_numbers(raw, name)}
    rows = [_row(path, line, values, numeric, folders) for line, values in raw if values["path"]]
    _refuse_twins(path, rows)
    return rows


def _row(
    manifest: Path,
    line: int,
    values: Mapping[str, str],
    numeric: set[str],
    folders: Sequence[Path],
) -> ManifestRow:
    given = Path(values["path"]).expanduser()
    places = [manifest.parent / given, *(folder / given for folder in folders)]
    found = next((place for place in places if place.exists()), places[0])
    metadata = {
        name: _number(value) if name in numeric else value
        for name, value in values.items()
        if name not in _OWN and value != ""
    }
    return ManifestRow(
        path=Path(os.path.abspath(found)),  # noqa: PTH100  links are kept as they are named
        slide_id=values.get("slide_id", ""),
        case_id=values.get("case_id", ""),
        mpp=_mpp(manifest, line, values.get("mpp", "")),
        metadata=metadata,
        line=line,
    )


def _mpp(manifest: Path, line: int, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SANE_MPP[0] <= value <= SANE_MPP[1]:
        raise UsageError(
            f"{manifest}, line {line}: mpp '{text}' is not a resolution in µm per pixel "
            f"({SANE_MPP[0]:g} to {SANE_MPP[1]:g})."
        )
    return value


def _all_numbers(raw: Sequence[tuple[int, Mapping[str, str]]], name: str) -> bool:
    filled = [values.get(name, "") for _, values in raw if values.get(name, "")]
    return bool(filled) and all(_is_number(value) for value in filled)


def _is_number(text: str) -> bool:
    if len(text) > 1 and text.lstrip("+-").startswith("0") and text.lstrip("+-").isdigit():
        return text.strip("+-0") == "" and len(text) == 1  # 007 is a name, not seven
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _number(text: str) -> Value:
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _refuse_twins(manifest: Path, rows: Sequence[ManifestRow]) -> None:
    for what in ("path", "slide_id"):
        seen: dict[object, int] = {}
        for row in rows:
            value = getattr(row, what)
            if not value:
                continue
            if value in seen:
                raise UsageError(
                    f"{manifest}, line {row.line}: {what} '{value}' is already on line "
                    f"{seen[value]}."
                )
            seen[value] = row.line
