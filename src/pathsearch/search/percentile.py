"""How a match compares with what searches in this library usually find.

Some library patches are asked as queries with the same spec and exclusion. A match's
percentile is the share of them whose match *at the same rank* scores lower. (Against all
patches every good match would read 99.99.)
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.index.exact import ExactIndex
from pathsearch.nouns import Exclude

#: Library patches that are asked.
QUERIES = 2000
#: Ranks whose scores are kept; between them the percentile is interpolated.
RANKS = (*range(1, 21), 25, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500)
FILE = "background.npz"
_MODES: tuple[Exclude, ...] = ("overlap", "slide", "case")


@dataclass(frozen=True)
class Rows:
    """Where the rows of an index come from.

    Attributes
    ----------
    slides, cases : int64 arrays, shape (n,)
        Number of each row's slide and case; a slide without a case is its own.
    coords : int32 array, shape (n, 2)
    footprints : int64 array, shape (n,)
    """

    slides: npt.NDArray[np.int64]
    cases: npt.NDArray[np.int64]
    coords: npt.NDArray[np.int32]
    footprints: npt.NDArray[np.int64]


class Background:
    """Scores that library patches find at each rank.

    Parameters
    ----------
    scores : dict of exclusion to float32 array, shape (q, len(RANKS))
        Each column sorted ascending; NaN (fewer matches exist) at the end.
    """

    def __init__(self, scores: dict[Exclude, npt.NDArray[np.float32]]) -> None:
        self._scores = scores

    @classmethod
    def measure(
        cls, exact: ExactIndex, rows: Rows, *, queries: int = QUERIES, seed: int = 0
    ) -> Background:
        """Ask library patches drawn at random; every row is compared."""
        size = exact.size
        rng = np.random.default_rng(seed)
        asked = np.sort(rng.choice(size, min(queries, size), replace=False))
        found: dict[Exclude, list[npt.NDArray[np.float32]]] = {mode: [] for mode in _MODES}
        step = max(1, min(256, 2**25 // max(size, 1)))
        for at in range(0, len(asked), step):
            for mode, scores in _ranked(exact, rows, asked[at : at + step]).items():
                found[mode].append(scores)
        none = np.empty((0, len(RANKS)), np.float32)
        return cls({m: np.sort(np.concatenate([none, *f]), axis=0) for m, f in found.items()})

    def save(self, folder: Path) -> None:
        """Write the scores beside the index."""
        with (folder / FILE).open("wb") as file:
            overlap, slide, case = (self._scores[mode] for mode in _MODES)
            np.savez(file, overlap=overlap, slide=slide, case=case)

    @classmethod
    def load(cls, folder: Path) -> Background | None:
        """What `save` wrote, or None where it is missing or damaged."""
        try:
            # Opened here, so that it is closed too where numpy cannot make sense of it
            with (folder / FILE).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return cls({mode: file[mode] for mode in _MODES})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def usual(self, rank: int, exclude: Exclude) -> float | None:
        """The score that half of the searches here reach at a rank; None where unknown."""
        column = self._scores[exclude][:, RANKS.index(rank)]
        known = column[np.isfinite(column)]
        return float(np.median(known)) if len(known) >= 20 else None

    def percentiles(self, scores: npt.NDArray[np.float32], exclude: Exclude) -> list[float | None]:
        """The percentile of each score, ranks counted from 1.

        Parameters
        ----------
        scores : float32 array, shape (k,)
            Of the matches, best first.

        Returns
        -------
        list
            0..100; None beyond the last rank that is kept, or where fewer than 20 library
            patches have a match at that rank.
        """
        table = self._scores[exclude]
        known = [self._share(table[:, c], scores) for c in range(len(RANKS))]
        return [_between(position, known) for position in range(len(scores))]

    @staticmethod
    def _share(
        column: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float64]:
        valid = column[~np.isnan(column)]
        if len(valid) < 20:
            return np.full(len(scores), np.nan)
        return 100.0 * np.searchsorted(valid, scores, side="left") / len(valid)


def _between(position: int, known: Sequence[npt.NDArray[np.float64]]) -> float | None:
    """The share at rank position + 1, interpolated between the kept ranks."""
    rank = position + 1
    if rank > RANKS[-1]:
        return None
    at = int(np.searchsorted(RANKS, rank))
    high = known[at][position]
    if RANKS[at] == rank:
        value = high
    else:
        low = known[at - 1][position]
        share = (rank - RANKS[at - 1]) / (RANKS[at] - RANKS[at - 1])
        value = (1 - share) * low + share * high
    return None if np.isnan(value) else float(value)


def _ranked(
    exact: ExactIndex, rows: Rows, asked: npt.NDArray[np.int64]
) -> dict[Exclude, npt.NDArray[np.float32]]:
    """Scores at the kept ranks of some rows asked as queries, under each exclusion."""
    vectors = np.asarray(exact.vectors[asked], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.concatenate([exact.scores_of_block(vectors, b) for b in exact.blocks()], axis=1)
    found: dict[Exclude, npt.NDArray[np.float32]] = {}
    # From the least excluding to the most: each mode masks more of the same table
    for mode in _MODES:
        for line, row in enumerate(asked):
            scores[line, _excluded(rows, int(row), mode)] = -np.inf
        found[mode] = _at_ranks(scores)
    return found


def _excluded(rows: Rows, row: int, mode: Exclude) -> npt.NDArray[np.int64]:
    if mode == "case":
        return np.flatnonzero(rows.cases == rows.cases[row])
    own = np.flatnonzero(rows.slides == rows.slides[row])
    if mode == "slide":
        return own
    near = np.abs(rows.coords[own] - rows.coords[row]) < rows.footprints[row]
    return np.asarray(own[near.all(axis=1)], np.int64)


def _at_ranks(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scores at the kept ranks, float32 (q, len(RANKS)); NaN where there are fewer."""
    deepest = min(RANKS[-1], scores.shape[1])
    top = -np.sort(-_largest(scores, deepest), axis=1)
    ranks = np.asarray(RANKS) - 1
    answer = np.full((len(scores), len(RANKS)), np.nan, np.float32)
    there = ranks < deepest
    answer[:, there] = top[:, ranks[there]]
    answer[np.isneginf(answer)] = np.nan
    return answer


def _largest(scores: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    if count == scores.shape[1]:
        return scores
    return np.partition(scores, scores.shape[1] - count, axis=1)[:, -count:]
