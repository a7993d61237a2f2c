"""Exact search: every allowed vector is compared. The oracle of all other indexes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pathsearch.index import ranges
from pathsearch.index.ranges import Ranges
from pathsearch.nouns import Array

#: Rows compared at once: a block of 32,768 x 256 float32 is 32 MiB and stays near the cache.
BLOCK = 32768


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
        self.vectors = vectors
        self.norms = norms

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
        best = TopK(len(queries), k)
        for block in ranges.blocks(allowed, BLOCK):
            ordinals = (
                np.arange(block.start, block.stop, dtype=np.int64)
                if isinstance(block, slice)
                else block
            )
            best.offer(self.scores_of_block(queries, block), ordinals)
        return best.result()

    def scores(
        self, query: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Exact cosine of one query (dim,) to some rows: float32, shape (len(ordinals),)."""
        row: npt.NDArray[np.float32] = self.scores_of_block(query[None, :], ordinals)[0]
        return row

    def blocks(self) -> Iterator[slice | npt.NDArray[np.int64]]:
        """All rows, in pieces that `scores_of_block` takes."""
        return ranges.blocks(ranges.everything(self.size), BLOCK)

    def scores_of_block(
        self, queries: npt.NDArray[np.float32], block: slice | npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Exact cosine of all queries (q, dim) to some rows: float32, shape (q, rows)."""
        rows = np.asarray(self.vectors[block], np.float32)
        scores = queries @ rows.T
        if self.norms is not None:
            scores /= np.asarray(self.norms[block])[None, :]
        return np.clip(scores, -1.0, 1.0, out=scores)


class TopK:
    """A running list of the best `k` per query."""

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._scores = np.empty((queries, 0), np.float32)
        self._ordinals = np.empty((queries, 0), np.int64)

    def offer(self, scores: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]) -> None:
        """Consider more rows: scores (q, n); ordinals (n,), higher than all before."""
        queries, n = scores.shape
        if n > 4 * self._k and self._k > 0:
            scores, columns = _strongest(scores, self._k)
            offered = ordinals[columns]
        else:
            offered = np.broadcast_to(ordinals, (queries, n))
        self._scores = np.concatenate([self._scores, scores], axis=1)
        self._ordinals = np.concatenate([self._ordinals, offered], axis=1)
        order = np.lexsort((self._ordinals, -self._scores), axis=1)[:, : self._k]
        self._scores = np.take_along_axis(self._scores, order, axis=1)
        self._ordinals = np.take_along_axis(self._ordinals, order, axis=1)

    def result(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Scores and ordinals, padded with -inf and -1 to (q, k)."""
        missing = self._k - self._scores.shape[1]
        pad = ((0, 0), (0, max(missing, 0)))
        return (
            np.pad(self._scores, pad, constant_values=-np.inf).astype(np.float32),
            np.pad(self._ordinals, pad, constant_values=-1),
        )


def _strongest(
    scores: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The best `k` columns of each row, the leftmost of equal ones at the cut."""
    columns = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    cut = np.take_along_axis(scores, columns, axis=1).min(axis=1, keepdims=True)
    ties = (scores == cut).sum(axis=1) > 1
    for row in np.flatnonzero(ties):  # rare: argpartition keeps any of the equal ones
        columns[row] = np.argsort(-scores[row], kind="stable")[:k]
    return np.take_along_axis(scores, columns, axis=1), columns.astype(np.int64)
