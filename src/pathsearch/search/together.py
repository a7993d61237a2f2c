"""All magnifications of a library asked at once: one list, merged by percentile.

Cosines of two specs cannot be compared: coarse patches are more alike than fine ones. The
percentiles can, since each says how a match compares with what its own spec usually finds at
its rank. Each spec's list keeps its order, and of the next in each the one with the highest
percentile comes first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pathsearch.errors import QueryError, SlideError
from pathsearch.index import ranges
from pathsearch.nouns import Match, Query
from pathsearch.search.answer import Answer
from pathsearch.search.bias import Departure, departures

if TYPE_CHECKING:
    from pathsearch.search.searcher import Searcher

#: The word for all specs, in a query's `spec`.
ALL = "all"


def search_together(
    searcher: Searcher, query: Query, within: Collection[str] | None = None
) -> Answer:
    """The answers of all specs in one list.

    A spec at which the question cannot be asked (its example cannot be read so finely, say)
    is left out, and a note says so.

    Parameters
    ----------
    searcher : Searcher
    query : Query
        Its `spec` does not count.
    within : collection of str, optional
        Only these slides.

    Returns
    -------
    Answer
        Matches name their spec; `recall` is that of the spec that finds the fewest.

    Raises
    ------
    QueryError, SlideError
        The question cannot be asked of any spec.
    """
    answers, notes = [], []
    refusal: QueryError | SlideError | None = None
    for name in searcher.library.specs:
        one = replace(query, spec=name)
        if not query.like and not any(key.spec == name for key in query.accepted):
            notes.append(f"{name} is left out: no example and no accepted patch is of it.")
            continue
        try:
            answers.append(searcher.search(one, within=within))
        except (QueryError, SlideError) as error:
            refusal = error
            notes.append(f"{name} is left out: {error}")
    if not answers:
        raise refusal or QueryError("give at least one example, or an accepted patch.")
    lists = [answer.matches for answer in answers]
    matches = merged(lists, query.k)
    if any(match.percentile is None for matches in lists for match in matches[:1]):
        notes.append(
            "A magnification has too few patches for percentiles: its matches come after the rest."
        )
    notes += [note for answer in answers for note in answer.notes]
    return replace(
        answers[0],
        matches=matches,
        query=replace(query, spec=ALL),
        recall=min((answer.recall for answer in answers), key=lambda recall: recall.at10),
        notes=tuple(dict.fromkeys(notes)),
        searched=sum(answer.searched for answer in answers),
        segments=tuple(sorted(pair for answer in answers for pair in answer.segments)),
        departures=_departures(searcher, [answer.query for answer in answers], matches),
    )


def _departures(
    searcher: Searcher, asked: Sequence[Query], matches: Sequence[Match]
) -> tuple[Departure, ...]:
    """Where the merged list departs from what the filter leaves of all specs together."""
    table = searcher.table
    counts = np.zeros(len(table.number), np.int64)
    for query in asked:
        pool = searcher.pool(query.spec)
        closed = ranges.union(
            np.concatenate([pool.removed, pool.of_slides(table.left_out(query.where))])
        )
        counts += pool.patches_of_slides(ranges.complement(closed, pool.size), table.number)
    return departures(matches, table, counts)


def merged(lists: Sequence[Sequence[Match]], k: int) -> tuple[Match, ...]:
    """The first `k` of several ranked lists, ranks counted anew; ties by list, then by rank."""
    nexts = [0] * len(lists)
    found: list[Match] = []
    while len(found) < k:
        heads = [n for n, matches in enumerate(lists) if nexts[n] < len(matches)]
        if not heads:
            break
        best = max(heads, key=lambda n: (_worth(lists[n][nexts[n]]), -n))
        found.append(replace(lists[best][nexts[best]], rank=len(found) + 1))
        nexts[best] += 1
    return tuple(found)


def _worth(match: Match) -> float:
    return -1.0 if match.percentile is None else match.percentile
