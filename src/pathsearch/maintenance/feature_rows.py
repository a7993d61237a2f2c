"""The rows of a file of features, beside those that the library has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pathsearch.errors import FeaturesError
from pathsearch.maintenance.feature_files import read_vectors
from pathsearch.maintenance.feature_plans import Plan

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord


def refuse_others(library: Library, known: SegmentRecord, ready: Plan) -> None:
    """FeaturesError where the slide has other patches of this very spec and content."""
    held = library.read_segment(known)
    if not _is_same(held.coords, held.vectors, ready):
        raise FeaturesError(
            f"{known.slide_id}: the library has other patches of it at {known.spec}; take them "
            f"out with 'pathsearch remove' first, or import {ready.head.path.name} into another "
            "library.",
            slide_id=known.slide_id,
        )


def _is_same(coords: Any, vectors: Any, ready: Plan) -> bool:
    if not np.array_equal(coords, ready.xy[ready.rows]):
        return False
    for first, block in read_vectors(ready.head):
        rows = np.flatnonzero((ready.rows >= first) & (ready.rows < first + len(block)))
        part = block[ready.rows[rows] - first].astype(np.float64)
        unit = part / np.sqrt(np.einsum("ij,ij->i", part, part))[:, None]
        if not np.array_equal(unit.astype(np.float32).astype(np.float16), vectors[rows]):
            return False
    return True


def note_on(ready: Plan, bad: int) -> str:
    """What the user should know of a file that came in: rows that were left out."""
    notes = []
    twice = len(ready.xy) - len(ready.rows)
    if twice:
        notes.append(f"{twice} patches were in it twice: each was taken once.")
    if bad:
        notes.append(f"{bad} vectors are not finite or are zero, and were left out.")
    return " ".join(notes)
