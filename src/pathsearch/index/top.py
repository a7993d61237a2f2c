"""A running list of the best of many rows, for several queries at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Ordinals = npt.NDArray[np.int64]


class TopK:
    """The best `k` rows of each query so far.

    Once a query has `k`, only scores above its k-th are looked at: one comparison a score
    instead of a partition of every block (2,000 queries over 1,000,000 rows took a minute).

    Parameters
    ----------
    queries : int
    k : int
    """

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._lines = [_Line(k) for _ in range(queries)]

    def offer(self, scores: Scores, ordinals: Ordinals) -> None:
        """Consider more rows: scores (q, n), -inf for none; ordinals (n,), above all before."""
        if self._k == 0:
            return
        for line, row in zip(self._lines, scores, strict=True):
            line.offer(row, ordinals)

    def result(self) -> tuple[Scores, Ordinals]:
        """Scores and ordinals, best first, ties by ordinal; padded with -inf and -1 to (q, k)."""
        scores = np.full((len(self._lines), self._k), -np.inf, np.float32)
        ordinals = np.full((len(self._lines), self._k), -1, np.int64)
        for number, line in enumerate(self._lines):
            line.settle()
            held = np.isfinite(line.scores)
            count = int(held.sum())
            scores[number, :count] = line.scores[held]
            ordinals[number, :count] = line.ordinals[held]
        return scores, ordinals


class _Line:
    """The best of one query: sorted once in a while, and kept unsorted between."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._least = -np.inf
        self._waiting: list[tuple[Scores, Ordinals]] = []
        self._held = 0
        self.scores = np.empty(0, np.float32)
        self.ordinals = np.empty(0, np.int64)

    def offer(self, row: Scores, ordinals: Ordinals) -> None:
        # A later row of the same score has the higher ordinal: it never replaces one
        at = np.flatnonzero(row > self._least)
        if not len(at):
            return
        if len(at) > 4 * self._k:
            at = at[_strongest(row[at], self._k)]
        self._waiting.append((row[at], ordinals[at]))
        self._held += len(at)
        if self._held >= self._k:
            self.settle()

    def settle(self) -> None:
        if not self._waiting:
            return
        scores = np.concatenate([self.scores, *(w[0] for w in self._waiting)])
        ordinals = np.concatenate([self.ordinals, *(w[1] for w in self._waiting)])
        order = np.lexsort((ordinals, -scores))[: self._k]
        self.scores, self.ordinals = scores[order], ordinals[order]
        self._waiting, self._held = [], 0
        if len(order) == self._k:
            self._least = float(self.scores[-1])


def _strongest(scores: Scores, k: int) -> npt.NDArray[np.int64]:
    """Positions of the best `k`, the leftmost of equal ones at the cut; in no order."""
    positions = np.argpartition(-scores, k - 1)[:k]
    cut = scores[positions].min()
    if (scores == cut).sum() > 1:  # rare: argpartition keeps any of the equal ones
        positions = np.argsort(-scores, kind="stable")[:k]
    return positions
