"""Library patches asked as queries: what each finds under each exclusion, exactly.

Percentiles and the index's measured recall both come from this one pass over all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pathsearch.index import ranges
from pathsearch.index.exact import ExactIndex
from pathsearch.index.top import TopK
from pathsearch.nouns import GUARD, Exclude

MODES: tuple[Exclude, ...] = ("overlap", "slide", "case")
#: Queries compared at once: 512 x 16,384 scores are 32 MiB.
_TOGETHER = 512
_BLOCK = 16384

Scores = npt.NDArray[np.float32]
Ordinals = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Where the rows of an index come from.

    Attributes
    ----------
    slides, cases : int arrays, shape (n,)
        Number of each row's slide and case, from 0; a slide without a case is its own.
    coords : int32 array, shape (n, 2)
    footprints : int array, shape (n,)
    """

    slides: npt.NDArray[np.integer]
    cases: npt.NDArray[np.integer]
    coords: npt.NDArray[np.int32]
    footprints: npt.NDArray[np.integer]

    @cached_property
    def _by_case(self) -> tuple[Ordinals, Ordinals]:
        """All ordinals, case after case, and where each case starts."""
        order = np.argsort(self.cases, kind="stable")
        counts = np.bincount(self.cases)
        return order, np.concatenate([[0], np.cumsum(counts)])

    def of_case(self, row: int) -> Ordinals:
        """The ordinals of a row's case, ascending."""
        order, starts = self._by_case
        case = int(self.cases[row])
        own: Ordinals = order[starts[case] : starts[case + 1]]
        return own

    def excluded(self, row: int, mode: Exclude) -> Ordinals:
        """What a question with this row's patch may not return."""
        own = self.of_case(row)
        if mode == "case":
            return own
        own = own[self.slides[own] == self.slides[row]]
        if mode == "slide":
            return np.asarray(own, np.int64)
        least = (1 + GUARD) * self.footprints[row]
        near = np.abs(self.coords[own] - self.coords[row]) < least
        spot: Ordinals = own[near.all(axis=1)]
        return spot


@dataclass(frozen=True)
class Neighbours:
    """What library patches find.

    Attributes
    ----------
    asked : int64 array, shape (q,)
        Their ordinals, ascending.
    vectors : float32 array, shape (q, dim), unit length
    scores, ordinals : dicts of exclusion to arrays, shape (q, depth)
        The nearest of each, best first; -inf and -1 where there are fewer.
    """

    asked: Ordinals
    vectors: Scores
    scores: dict[Exclude, Scores]
    ordinals: dict[Exclude, Ordinals]

    @classmethod
    def measure(
        cls, exact: ExactIndex, rows: Rows, *, queries: int, depth: int, seed: int = 0
    ) -> Neighbours:
        """Ask library patches drawn at random; every row is compared once.

        The rows of a query's own case are set apart while all others compete; what an
        exclusion allows of them is merged in at the end.

        Parameters
        ----------
        queries : int
            All, where there are fewer rows.
        depth : int
            Neighbours of each.
        """
        rng = np.random.default_rng(seed)
        asked = np.sort(rng.choice(exact.size, min(queries, exact.size), replace=False))
        vectors = np.asarray(exact.vectors[asked], np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        depth = min(depth, exact.size)
        found: dict[Exclude, list[tuple[Scores, Ordinals]]] = {mode: [] for mode in MODES}
        for at in range(0, len(asked), _TOGETHER):
            part = slice(at, at + _TOGETHER)
            for mode, pair in _of_some(exact, rows, asked[part], vectors[part], depth).items():
                found[mode].append(pair)
        empty = (np.empty((0, depth), np.float32), np.empty((0, depth), np.int64))
        scores = {m: np.concatenate([empty[0], *(s for s, _ in f)]) for m, f in found.items()}
        ordinals = {m: np.concatenate([empty[1], *(o for _, o in f)]) for m, f in found.items()}
        return cls(asked, vectors, scores, ordinals)


def _of_some(
    exact: ExactIndex, rows: Rows, asked: Ordinals, vectors: Scores, depth: int
) -> dict[Exclude, tuple[Scores, Ordinals]]:
    own = [rows.of_case(int(row)) for row in asked]
    own_scores = [np.empty(len(held), np.float32) for held in own]
    others = TopK(len(asked), depth)
    for block in ranges.blocks(ranges.everything(exact.size), _BLOCK, least=1):
        assert isinstance(block, slice)
        scores = exact.scores_of_block(vectors, block)
        for line, held in enumerate(own):
            a, b = np.searchsorted(held, (block.start, block.stop))
            if a < b:
                at = held[a:b] - block.start
                own_scores[line][a:b] = scores[line, at]
                scores[line, at] = -np.inf
        others.offer(scores, np.arange(block.start, block.stop, dtype=np.int64))
    merged: dict[Exclude, tuple[Scores, Ordinals]] = {"case": others.result()}
    for mode in ("overlap", "slide"):
        merged[mode] = _merged(rows, asked, merged["case"], own, own_scores, mode)
    return merged


def _merged(
    rows: Rows,
    asked: Ordinals,
    others: tuple[Scores, Ordinals],
    own: Sequence[Ordinals],
    own_scores: Sequence[Scores],
    mode: Exclude,
) -> tuple[Scores, Ordinals]:
    """The nearest of other cases together with what `mode` allows of the own one."""
    depth = others[0].shape[1]
    scores, ordinals = np.empty_like(others[0]), np.empty_like(others[1])
    for line, row in enumerate(asked):
        allowed = ~np.isin(own[line], rows.excluded(int(row), mode), assume_unique=True)
        all_scores = np.concatenate([others[0][line], own_scores[line][allowed]])
        all_ordinals = np.concatenate([others[1][line], own[line][allowed]])
        order = np.lexsort((all_ordinals, -all_scores))[:depth]
        scores[line], ordinals[line] = all_scores[order], all_ordinals[order]
    return scores, ordinals
