"""How a match compares with what searches in this library usually find.

Some library patches are asked as queries with the same spec and exclusion. A match's
percentile is the share of them whose match *at the same rank* scores lower. (Against all
patches every good match would read 99.99.)
"""

from __future__ import annotations

import zipfile
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.index.exact import ExactIndex
from pathsearch.nouns import Exclude
from pathsearch.search.neighbours import MODES, Neighbours, Rows

#: Library patches that are asked.
QUERIES = 2000
#: Ranks whose scores are kept; between them the percentile is interpolated.
RANKS = (*range(1, 21), 25, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500)
FILE = "background.npz"


class Background:
    """Scores that library patches find at each rank.

    Parameters
    ----------
    scores : dict of exclusion to float32 array, shape (q, len(RANKS))
        Each column sorted ascending; NaN (fewer matches exist) at the end.
    """

    def __init__(self, scores: dict[Exclude, npt.NDArray[np.float32]]) -> None:
        self._scores = scores
        self._valid: dict[Exclude, list[list[float]]] = {
            m: [c[~np.isnan(c)].tolist() for c in s.T] for m, s in scores.items()
        }

    @classmethod
    def measure(
        cls, exact: ExactIndex, rows: Rows, *, queries: int = QUERIES, seed: int = 0
    ) -> Background:
        """Ask library patches drawn at random; every row is compared."""
        return cls.of(Neighbours.measure(exact, rows, queries=queries, depth=RANKS[-1], seed=seed))

    @classmethod
    def of(cls, found: Neighbours) -> Background:
        """From what library patches found."""
        return cls({mode: np.sort(_at_ranks(s), axis=0) for mode, s in found.scores.items()})

    def save(self, folder: Path) -> None:
        """Write the scores beside the index."""
        with (folder / FILE).open("wb") as file:
            overlap, slide, case = (self._scores[mode] for mode in MODES)
            np.savez(file, overlap=overlap, slide=slide, case=case)

    @classmethod
    def load(cls, folder: Path) -> Background | None:
        """What `save` wrote, or None where it is missing or damaged."""
        try:
            # Opened here, so that it is closed too where numpy cannot make sense of it
            with (folder / FILE).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return cls({mode: file[mode] for mode in MODES})
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
        columns = self._valid[exclude]
        return [_at_rank(columns, rank, score) for rank, score in enumerate(scores.tolist(), 1)]


def _at_rank(columns: Sequence[list[float]], rank: int, score: float) -> float | None:
    """The share that scores lower at a rank, interpolated between the kept ranks."""
    if rank > RANKS[-1]:
        return None
    at = bisect_left(RANKS, rank)
    high = _share(columns[at], score)
    if RANKS[at] == rank or high is None:
        return high
    low = _share(columns[at - 1], score)
    if low is None:
        return None
    share = (rank - RANKS[at - 1]) / (RANKS[at] - RANKS[at - 1])
    return float((1 - share) * low + share * high)


def _share(column: list[float], score: float) -> float | None:
    """Per cent of an ascending column below a score; None of fewer than 20."""
    return 100.0 * bisect_left(column, score) / len(column) if len(column) >= 20 else None


def _at_ranks(top: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scores (q, depth) at the kept ranks: (q, len(RANKS)); NaN where there are fewer."""
    ranks = np.asarray(RANKS) - 1
    answer = np.full((len(top), len(RANKS)), np.nan, np.float32)
    there = ranks < top.shape[1]
    answer[:, there] = top[:, ranks[there]]
    answer[np.isneginf(answer)] = np.nan
    return answer
