"""Matches as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from pathsearch.nouns import Match

#: Lengths in level-0 pixels, mpp in µm per level-0 pixel, percentile 0..100.
COLUMNS = (
    "rank",
    "slide_id",
    "case_id",
    "spec",
    "x",
    "y",
    "width",
    "height",
    "mpp",
    "score",
    "percentile",
)


def matches_to_csv(matches: Sequence[Match]) -> str:
    """One line a match; the slides' metadata columns follow, prefixed ``meta.``.

    Cells that a spreadsheet would take for a formula get a leading apostrophe.
    """
    extra = sorted({name for match in matches for name in match.metadata})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"meta.{name}" for name in extra)])
    for match in matches:
        box = match.footprint
        percentile = "" if match.percentile is None else f"{match.percentile:.2f}"
        writer.writerow(
            [
                match.rank,
                safe_cell(match.key.slide_id),
                safe_cell(match.case_id),
                match.key.spec,
                box.x,
                box.y,
                box.width,
                box.height,
                f"{match.mpp:g}",
                f"{match.score:.6f}",
                percentile,
                *(safe_cell(match.metadata.get(name, "")) for name in extra),
            ]
        )
    return buffer.getvalue()


def safe_cell(value: Any) -> Any:
    """Text that starts like a formula would be run by a spreadsheet."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
