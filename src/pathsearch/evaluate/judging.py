"""Vectors and labels to figures, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pathsearch.errors import UsageError
from pathsearch.metrics import QueryFigures, nearest_outside_group, query_figures, summary

__all__ = ["FIGURES", "Judged", "confusion", "difference", "intervals", "judge", "per_class"]

#: Keys of the figures, and the arrays of `QueryFigures` behind them.
FIGURES = {"acc1": "acc1", "mmv5": "mmv", "p5": "precision", "map5": "ap"}
K = 5
#: Neighbours that are kept of every query: the stability figures look at ten.
KEPT = 10
RESAMPLES = 2000
#: Share of the resamples inside an interval.
LEVEL = 0.95

Strings = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Judged:
    """One set of vectors, judged.

    Attributes
    ----------
    order : int64 array, shape (n, 10)
        Nearest items outside the own group, -1 where there are fewer.
    figures : QueryFigures
    """

    order: npt.NDArray[np.int64]
    figures: QueryFigures


def judge(
    vectors: npt.NDArray[np.floating[Any]],
    labels: Strings,
    groups: Strings,
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> Judged:
    """Figures of every item as a query against all items of other groups.

    Raises
    ------
    UsageError
        No item has another of its label outside its own group.
    """
    order = nearest_outside_group(vectors, groups, KEPT, metric)
    figures = query_figures(order, labels, groups, K)
    if not figures.valid.any():
        raise UsageError(
            "Nothing can be measured: every label occurs within one group only, and a query's "
            "own group is never searched. Groups should be cases, slides or sources."
        )
    return Judged(order, figures)


def per_class(judged: Judged, labels: Strings) -> dict[str, dict[str, Any]]:
    """The figures of each class.

    Returns
    -------
    dict of label to ``{"n", "queries", "acc1", "mmv5", "p5", "map5"}``
        ``queries`` counts those that have an answer outside their group; where it is 0,
        the figures are None.
    """
    out: dict[str, dict[str, Any]] = {}
    for name in np.unique(labels):
        rows = labels == name
        counted = rows & judged.figures.valid
        line: dict[str, Any] = {"n": int(rows.sum()), "queries": int(counted.sum())}
        for key, attribute in FIGURES.items():
            values = getattr(judged.figures, attribute)[counted]
            line[key] = float(values.mean()) if len(values) else None
        out[str(name)] = line
    return out


def confusion(judged: Judged, labels: Strings) -> dict[str, dict[str, float]]:
    """What the first five neighbours of each class are.

    Returns
    -------
    dict of label to dict of label to share
        Each row sums to 1.
    """
    names, code = np.unique(labels, return_inverse=True)
    found = judged.order[:, :K]
    table = np.zeros((len(names), len(names)))
    query = np.repeat(code, found.shape[1]).reshape(found.shape)
    real = found >= 0
    np.add.at(table, (query[real], code[found[real]]), 1.0)
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    return {
        str(name): {str(other): float(share) for other, share in zip(names, row, strict=True)}
        for name, row in zip(names, table, strict=True)
    }


def intervals(
    judged: Judged, labels: Strings, groups: Strings, seed: int = 0
) -> dict[str, list[float]]:
    """Bootstrap intervals (95%, percentile) of the class-balanced figures.

    Whole groups are drawn with replacement, because patches of one case are not independent
    (cluster bootstrap, Davison and Hinkley 1997, section 3.8), each among the groups with the
    same rarest class, so that no rare class drops out of a draw and raises the average. The
    neighbours stay those found in the whole set.

    Returns
    -------
    dict of figure to [low, high]
    """
    draws = _Resamples(judged.figures.valid, labels, groups, seed)
    return {
        key: _interval(draws.balanced(getattr(judged.figures, attribute)))
        for key, attribute in FIGURES.items()
    }


def difference(
    ours: Judged, theirs: Judged, labels: Strings, groups: Strings, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Paired comparison: `ours` minus `theirs`, query by query.

    Returns
    -------
    dict of figure to ``{"difference", "interval": [low, high], "better": share}``
        ``better`` is the share of the resamples in which `ours` is ahead.
    """
    draws = _Resamples(ours.figures.valid, labels, groups, seed)
    out = {}
    for key, attribute in FIGURES.items():
        delta = getattr(ours.figures, attribute) - getattr(theirs.figures, attribute)
        drawn = draws.balanced(delta)
        out[key] = {
            "difference": summary(ours.figures, labels)[key] - summary(theirs.figures, labels)[key],
            "interval": _interval(drawn),
            "better": float((drawn > 0).mean() + 0.5 * (drawn == 0).mean()),
        }
    return out


def _interval(drawn: npt.NDArray[np.float64]) -> list[float]:
    edge = (1 - LEVEL) / 2
    return [float(v) for v in np.quantile(drawn, [edge, 1 - edge])]


class _Resamples:
    """The same draws of groups for every figure, so that comparisons are paired."""

    def __init__(
        self, valid: npt.NDArray[np.bool_], labels: Strings, groups: Strings, seed: int
    ) -> None:
        _, self._label = np.unique(labels[valid], return_inverse=True)
        _, self._group = np.unique(groups[valid], return_inverse=True)
        self._valid = valid
        self._shape = (int(self._group.max()) + 1, int(self._label.max()) + 1)
        self._counts = np.zeros(self._shape)
        np.add.at(self._counts, (self._group, self._label), 1.0)
        drawing = np.random.default_rng(seed)
        #: How often each group was drawn, shape (resamples, groups).
        self._weights = np.zeros((RESAMPLES, self._shape[0]))
        stratum = _rarest_class(self._counts > 0)
        for one in np.unique(stratum):
            members = np.flatnonzero(stratum == one)
            share = np.full(len(members), 1 / len(members))
            self._weights[:, members] = drawing.multinomial(len(members), share, size=RESAMPLES)

    def balanced(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Class-balanced average in each resample, shape (resamples,).

        A class of which a resample has no group is left out of that resample's average.
        """
        sums = np.zeros(self._shape)
        np.add.at(sums, (self._group, self._label), values[self._valid])
        count = self._weights @ self._counts
        mean = np.where(count > 0, (self._weights @ sums) / np.maximum(count, 1), 0.0)
        present: npt.NDArray[np.float64] = (count > 0).sum(axis=1)
        out: npt.NDArray[np.float64] = mean.sum(axis=1) / present
        return out


def _rarest_class(has: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Of each group (row), the class (column) that it has and the fewest groups have."""
    spread = np.where(has, has.sum(axis=0)[None, :], has.shape[0] + 1)
    return np.asarray(np.argmin(spread, axis=1), dtype=np.int64)
