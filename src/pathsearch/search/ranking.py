"""From scored patches to the list that is shown: caps, spacing, diversity."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt

from pathsearch.index import ranges
from pathsearch.index.ranges import Ranges
from pathsearch.nouns import Query
from pathsearch.search.pool import Pool
from pathsearch.search.slide_table import SlideTable

Scores = npt.NDArray[np.float32]
Ordinals = npt.NDArray[np.int64]

#: Candidates that diversity chooses from, per wanted match.
_CHOICE = 5


def ranked(
    pool: Pool, query: Query, vectors: npt.NDArray[np.float32], allowed: Ranges, table: SlideTable
) -> tuple[Scores, Ordinals]:
    """The best rows under the query's caps, spacing and diversity.

    More candidates are asked for until `k` remain or none are left, so that fewer than `k`
    come only where fewer exist.

    Parameters
    ----------
    vectors : float32 array, shape (m, dim), unit length
        The nearest of them counts.

    Returns
    -------
    scores, ordinals : arrays, shape (<=k,)
        In the order of ranks.
    """
    thinned = query.per_slide is not None or query.per_case is not None or query.spacing > 0
    available = ranges.count(allowed)
    target = query.k * (_CHOICE if query.diversity else 1)
    wanted = min(target * (4 if thinned else 1), available)
    while True:
        scores, ordinals = nearest(pool, vectors, wanted, allowed, exact=query.exact)
        if thinned:
            keep = _thin(pool, query, ordinals, table, target)
            if len(keep) < target and wanted < available:
                wanted = min(wanted * 4, available)
                continue
            scores, ordinals = scores[keep], ordinals[keep]
        if query.diversity:
            order = _diverse(pool, query, scores, ordinals)
            scores, ordinals = scores[order], ordinals[order]
        return scores[: query.k], ordinals[: query.k]


def nearest(
    pool: Pool, vectors: npt.NDArray[np.float32], k: int, allowed: Ranges, *, exact: bool
) -> tuple[Scores, Ordinals]:
    """The `k` rows whose nearest query vector is nearest."""
    if len(vectors) == 1:
        return pool.search(vectors[0], k, allowed, exact=exact)
    found = [pool.search(vector, k, allowed, exact=exact) for vector in vectors]
    scores = np.concatenate([f[0] for f in found])
    ordinals = np.concatenate([f[1] for f in found])
    order = np.lexsort((ordinals, -scores))
    _, first = np.unique(ordinals[order], return_index=True)
    scores, ordinals = scores[order][np.sort(first)], ordinals[order][np.sort(first)]
    order = pool.by_key(scores, ordinals)[:k]
    return scores[order], ordinals[order]


def _thin(
    pool: Pool, query: Query, ordinals: Ordinals, table: SlideTable, target: int
) -> list[int]:
    """Positions that stay, best first, at most `target`."""
    keep: list[int] = []
    per_slide: Counter[str] = Counter()
    per_case: Counter[str] = Counter()
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    coords = pool.coords(ordinals)
    for position, segment in enumerate(pool.segment_of(ordinals)):
        slide_id = segment.slide_id
        case = table.cases(slide_id)
        if query.per_slide is not None and per_slide[slide_id] >= query.per_slide:
            continue
        if query.per_case is not None and per_case[case] >= query.per_case:
            continue
        here = (float(coords[position, 0]), float(coords[position, 1]))
        if query.spacing and _near(places[slide_id], here, query.spacing * segment.footprint):
            continue
        places[slide_id].append(here)
        per_slide[slide_id] += 1
        per_case[case] += 1
        keep.append(position)
        if len(keep) == target:
            break
    return keep


def _near(places: list[tuple[float, float]], here: tuple[float, float], least: float) -> bool:
    return any((x - here[0]) ** 2 + (y - here[1]) ** 2 < least**2 for x, y in places)


def _diverse(pool: Pool, query: Query, scores: Scores, ordinals: Ordinals) -> list[int]:
    """Maximal marginal relevance: positions in the order in which they are taken."""
    if not len(ordinals):
        return []
    rows = pool.vectors(ordinals)
    closest = np.full(len(rows), -1.0, np.float32)
    left = np.ones(len(rows), bool)
    order: list[int] = []
    for _ in range(min(query.k, len(rows))):
        penalty = closest if order else np.zeros(len(rows), np.float32)
        worth = (1 - query.diversity) * scores - query.diversity * penalty
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        order.append(best)
        left[best] = False
        closest = np.maximum(closest, rows @ rows[best])
    return order
