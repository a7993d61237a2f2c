"""Retrieval figures on arrays.

Every figure is computed for each query first (one number a query) and averaged last, so
that averages over classes, intervals by group and comparisons of two encoders all start
from the same arrays.

Notation: query ``q`` has label ``y_q``; ``rel_i`` is 1 where the neighbour at rank ``i``
has that label, else 0; ``R_q`` is the number of items outside the query's own group that
have its label. Items of the query's own group are never neighbours.

- acc@1      = ``rel_1``
- mMV@k      = 1 where ``y_q`` is the most frequent label among the first ``k`` (a tie goes
  to the label that comes first), Kalra et al. 2020, *Yottixel*
- P@k        = ``sum(rel_1..rel_k) / k``
- AP@k       = ``sum_i(rel_i * P@i) / min(k, R_q)``; mAP@k is its average
- recall@k   = share of the true ``k`` nearest that an approximate search returns
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "QueryFigures",
    "class_means",
    "nearest_of_queries",
    "nearest_outside_group",
    "query_figures",
    "recall_at_k",
    "summary",
    "wilson",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rows of the similarity matrix that are held at once.
_ROWS = 1024


def nearest_outside_group(
    vectors: npt.NDArray[np.floating[Any]],
    groups: npt.NDArray[Any],
    k: int,
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> Ints:
    """The `k` nearest items of each item that are not of its own group.

    Parameters
    ----------
    vectors : float array, shape (n, dim)
        Need not be normalised.
    groups : array, shape (n,)
        Case, slide or source of each item; an item's own group is left out.
    k : int
    metric : {'cosine', 'euclidean'}

    Returns
    -------
    int64 array, shape (n, k)
        Positions, nearest first, ties in favour of the lower position; -1 where there
        are fewer than `k`.
    """
    return nearest_of_queries(vectors, groups, vectors, groups, k, metric)


def nearest_of_queries(
    queries: npt.NDArray[np.floating[Any]],
    query_groups: npt.NDArray[Any],
    vectors: npt.NDArray[np.floating[Any]],
    groups: npt.NDArray[Any],
    k: int,
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> Ints:
    """The `k` nearest items of each query that are not of the query's group.

    Parameters
    ----------
    queries : float array, shape (q, dim)
    query_groups : array, shape (q,)
    vectors : float array, shape (n, dim)
        Need not be normalised, nor `queries`.
    groups : array, shape (n,)
    k : int
    metric : {'cosine', 'euclidean'}

    Returns
    -------
    int64 array, shape (q, k)
        As `nearest_outside_group`.
    """
    queries = np.asarray(queries, dtype=np.float64)
    vectors = np.asarray(vectors, dtype=np.float64)
    both = np.concatenate([np.asarray(query_groups), np.asarray(groups)])
    _, code = np.unique(both, return_inverse=True)
    asking, group = code[: len(queries)], code[len(queries) :]
    order = np.full((len(queries), k), -1, dtype=np.int64)
    if metric == "cosine":
        # The queries' own lengths change no ranking.
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(length > 0, length, 1.0)
        penalty = np.zeros(len(vectors))
    else:
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab: for one query a, rank by ab - |b|^2 / 2.
        centre = vectors.mean(axis=0)
        queries, vectors = queries - centre, vectors - centre
        penalty = np.einsum("ij,ij->i", vectors, vectors) / 2
    for start in range(0, len(queries), _ROWS):
        rows = slice(start, min(start + _ROWS, len(queries)))
        score = queries[rows] @ vectors.T - penalty
        score[asking[rows, None] == group[None, :]] = -np.inf
        ranked = np.argsort(-score, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(score, ranked, axis=1)
        order[rows, : ranked.shape[1]] = np.where(np.isneginf(best), -1, ranked)
    return order


@dataclass(frozen=True)
class QueryFigures:
    """One number a query.

    Attributes
    ----------
    valid : bool array, shape (n,)
        False where no item outside the query's own group has its label: such a query
        cannot be answered and is left out of every average.
    acc1, mmv, precision, ap : float64 arrays, shape (n,)
        Fractions 0..1; formulas at the top of the module.
    """

    valid: npt.NDArray[np.bool_]
    acc1: Floats
    mmv: Floats
    precision: Floats
    ap: Floats

    def restricted(self, asked: npt.NDArray[np.bool_]) -> QueryFigures:
        """The same, with only the queries `asked` counted (bool, shape (n,))."""
        return replace(self, valid=self.valid & asked)


def query_figures(
    order: Ints, labels: npt.NDArray[Any], groups: npt.NDArray[Any], k: int = 5
) -> QueryFigures:
    """The figures of each query, from its neighbours.

    Parameters
    ----------
    order : int64 array, shape (n, at least k)
        As `nearest_outside_group` gives it.
    labels, groups : arrays, shape (n,)
    k : int

    Returns
    -------
    QueryFigures
    """
    classes, label = np.unique(np.asarray(labels), return_inverse=True)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    order = np.asarray(order)[:, :k]
    found = np.where(order >= 0, label[order], -1)
    rel = (found == label[:, None]).astype(np.float64)
    per_class = np.bincount(label, minlength=len(classes))
    own: dict[tuple[int, int], int] = {}
    for key in zip(label.tolist(), group.tolist(), strict=True):
        own[key] = own.get(key, 0) + 1
    same = np.array([own[key] for key in zip(label.tolist(), group.tolist(), strict=True)])
    relevant = per_class[label] - same
    at = np.arange(1, k + 1)
    precision_at = np.cumsum(rel, axis=1) / at
    ap = (rel * precision_at).sum(axis=1) / np.maximum(np.minimum(k, relevant), 1)
    return QueryFigures(
        valid=relevant > 0,
        acc1=rel[:, 0],
        mmv=_majority(found, label),
        precision=rel.sum(axis=1) / k,
        ap=ap,
    )


def _majority(found: Ints, label: Ints) -> Floats:
    """1.0 where the most frequent label of a row, ties to the nearest, is the query's."""
    votes = np.zeros(found.shape, dtype=np.int64)
    for column in range(found.shape[1]):
        votes += (found == found[:, column : column + 1]) & (found >= 0)
    winner = found[np.arange(len(found)), np.argmax(votes, axis=1)]
    right: Floats = (winner == label).astype(np.float64)
    return right


def class_means(
    values: Floats, labels: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Average of `values` within each class.

    Parameters
    ----------
    values : float64 array, shape (n,)
    labels : array, shape (n,)
    valid : bool array, shape (n,), optional
        Only these are counted; a class without any is left out.

    Returns
    -------
    dict of class to average, sorted by class
    """
    labels = np.asarray(labels).astype(str)
    keep = np.ones(len(values), dtype=bool) if valid is None else valid
    return {
        str(name): float(values[keep & (labels == name)].mean()) for name in np.unique(labels[keep])
    }


def summary(figures: QueryFigures, labels: npt.NDArray[Any]) -> dict[str, float]:
    """acc1, mmv5, p5 and map5, each class with equal weight.

    The keys say 5 because the design's figures are at 5; `figures` decides the real k.
    """
    named = {
        "acc1": figures.acc1,
        "mmv5": figures.mmv,
        "p5": figures.precision,
        "map5": figures.ap,
    }
    out = {}
    for key, values in named.items():
        means = list(class_means(values, labels, figures.valid).values())
        out[key] = float(np.mean(means)) if means else float("nan")
    return out


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval of a share (Wilson 1927); (0, 1) where nothing was counted.

    Parameters
    ----------
    hits : float
        Of `n`; need not be whole, where each trial gave a share.
    n : int
    """
    if n == 0:
        return 0.0, 1.0
    z2 = 1.959964**2
    share = hits / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def recall_at_k(found: Ints, truth: Ints) -> float:
    """Share of the true nearest that were found, averaged over queries.

    Parameters
    ----------
    found, truth : int64 arrays, shape (q, k)
        Positions; -1 is nothing, and is not counted.

    Returns
    -------
    float, 0..1
        1.0 where there is nothing to find.
    """
    hits = 0
    wanted = 0
    for got, true in zip(found, truth, strict=True):
        real = true[true >= 0]
        hits += len(np.intersect1d(got[got >= 0], real))
        wanted += len(real)
    return hits / wanted if wanted else 1.0
