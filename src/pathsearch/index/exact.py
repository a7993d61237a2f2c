"""Exact search: every allowed vector is compared. The oracle of all other indexes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from pathsearch.index import half_scan, ranges
from pathsearch.index.ranges import Ranges
from pathsearch.index.top import TopK
from pathsearch.nouns import Array

#: Rows compared at once: a block of 32,768 x 256 float32 is 32 MiB and stays near the cache.
BLOCK = 32768
#: Up to so many queries are compared one by one where the rows lie; of more, whole blocks of
#: rows are converted once for all of them.
_ONE_BY_ONE = 8
#: Candidates beyond the wanted ones: what is ranked by inner product is shown by cosine, and
#: rounding to float16 makes the two differ a little.
_SPARE = 32
#: Rows of a piece that is compared where it lies.
_PIECE = 2**22
#: From so many candidates on, comparing converted blocks is no slower.
_MOST_CANDIDATES = 20_000
_ROUNDING = 4e-6


class ExactIndex:
    """Compare with every allowed vector.

    Parameters
    ----------
    vectors : float16 or float32 array, shape (n, dim)
        Usually memory-mapped; read in blocks and never held whole.
    norms : float32 array, shape (n,), optional
        Length of each stored vector. Unit vectors rounded to float16 are a little off 1;
        dividing by this gives the exact cosine.
    """

    def __init__(self, vectors: Array, norms: npt.NDArray[np.float32] | None = None) -> None:
        # A plain view: each slice of a numpy.memmap costs microseconds for its Python class
        self.vectors: Array = np.asarray(vectors)
        self.norms = None if norms is None else np.asarray(norms)

    @property
    def size(self) -> int:
        """Number of vectors covered."""
        return int(self.vectors.shape[0])

    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        allowed: Ranges | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `k` nearest of each query; see `pathsearch.nouns.Index.search`.

        Equal scores come in the order of their ordinals.
        """
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if allowed is None:
            allowed = ranges.everything(self.size)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        ordinals = np.full((len(queries), k), -1, np.int64)
        one_by_one = len(queries) <= _ONE_BY_ONE and half_scan.usable(self.vectors)
        rest = []
        for row, query in enumerate(queries):
            found = self._in_place(query, k, allowed) if one_by_one else None
            if found is None:
                rest.append(row)
            else:
                scores[row, : len(found[0])], ordinals[row, : len(found[1])] = found
        if rest:
            scores[rest], ordinals[rest] = self.by_blocks(queries[rest], k, allowed)
        return scores, ordinals

    def by_blocks(
        self, queries: npt.NDArray[np.float32], k: int, allowed: Ranges
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """`search` in plain numpy: the slow twin of what compares rows where they lie."""
        best = TopK(len(queries), k)
        for block in ranges.blocks(allowed, BLOCK):
            best.offer(self.scores_of_block(queries, block), as_ordinals(block))
        scores, ordinals = best.result()
        for row, query in enumerate(queries):
            found = ordinals[row][ordinals[row] >= 0]
            count = len(found)
            scores[row, :count], ordinals[row, :count] = self.ranked(query, found, count)
        return scores, ordinals

    def ranked(
        self, query: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64], k: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `k` best of some rows by exact cosine; ties in the order of ordinals."""
        exact = self.scores(query, ordinals)
        order = np.lexsort((ordinals, -exact))[:k]
        return exact[order], ordinals[order]

    def scores(
        self, query: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Exact cosine of one query (dim,) to some rows: float32, shape (len(ordinals),).

        Each row is summed by itself: in a matrix product the last digit of a row's score
        depends on its neighbours, and equal rows would not tie.
        """
        answer = np.empty(len(ordinals), np.float32)
        for at in range(0, len(ordinals), 4096):
            some = ordinals[at : at + 4096]
            rows = np.take(self.vectors, some, axis=0).astype(np.float32)
            rows *= query
            answer[at : at + 4096] = rows.sum(axis=1)
        if self.norms is not None:
            answer /= np.take(self.norms, ordinals)
        return np.clip(answer, -1.0, 1.0, out=answer)

    def scores_of_block(
        self, queries: npt.NDArray[np.float32], block: slice | npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Exact cosine of all queries (q, dim) to some rows: float32, shape (q, rows)."""
        rows = np.asarray(self.vectors[block], np.float32)
        scores = queries @ rows.T
        if self.norms is not None:
            scores /= np.asarray(self.norms[block])[None, :]
        return np.clip(scores, -1.0, 1.0, out=scores)

    def _in_place(
        self, query: npt.NDArray[np.float32], k: int, allowed: Ranges
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]] | None:
        """`search` of one query without converting rows; None where blocks are the better way.

        Candidates come by inner product. Enough of them are taken for certain: what is left
        out cannot reach the k-th cosine even with the least norm of all rows.
        """
        rows = ranges.count(allowed)
        wanted = min(k + _SPARE, rows)
        while wanted <= _MOST_CANDIDATES:
            raw, ordinals = self._candidates(query, wanted, allowed)
            scores, best = self.ranked(query, ordinals, k)
            if wanted == rows or k == 0 or scores[-1] > self._bound(float(raw[-1])):
                return scores, best
            wanted = min(4 * wanted, rows)
        return None

    def _candidates(
        self, query: npt.NDArray[np.float32], wanted: int, allowed: Ranges
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `wanted` rows of largest inner product, best first."""
        raw, ordinals = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        for block in ranges.blocks(allowed, _PIECE, least=1024):
            if isinstance(block, slice):
                found, at = half_scan.best_rows(query, self.vectors[block], wanted)
                ordinals.append(at + block.start)
            else:
                rows = np.take(self.vectors, block, axis=0)
                found, at = half_scan.best_rows(query, rows, wanted)
                ordinals.append(block[at])
            raw.append(found)
        whole = np.concatenate(raw)
        order = np.argsort(-whole, kind="stable")[:wanted]
        return whole[order], np.concatenate(ordinals)[order]

    def _bound(self, raw: float) -> float:
        """The largest cosine that a row of at most this inner product may have."""
        low, high = self._norm_range
        return (raw + _ROUNDING) / (low if raw + _ROUNDING > 0 else high)

    @cached_property
    def _norm_range(self) -> tuple[float, float]:
        if self.norms is None or not len(self.norms):
            return 1.0, 1.0
        return max(float(self.norms.min()), 1e-12), float(self.norms.max())


def as_ordinals(block: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The ordinals of a piece that `ranges.blocks` yields."""
    if isinstance(block, slice):
        return np.arange(block.start, block.stop, dtype=np.int64)
    return block
