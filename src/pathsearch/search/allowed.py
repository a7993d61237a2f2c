"""Which patches an answer may hold: all but removed, excluded, filtered and judged ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from pathsearch.index import ranges
from pathsearch.index.ranges import Ranges
from pathsearch.nouns import PatchKey, Query
from pathsearch.search.cover import overlapping
from pathsearch.search.examples import OwnSpot
from pathsearch.search.pool import Pool
from pathsearch.search.slide_table import SlideTable


def allowed_ordinals(
    pool: Pool,
    query: Query,
    owns: Sequence[OwnSpot],
    against: Sequence[OwnSpot],
    table: SlideTable,
    within: Iterable[str] | None = None,
) -> tuple[Ranges, tuple[str, ...]]:
    """The ordinals that may be returned, and what the user should know about it.

    Parameters
    ----------
    owns, against : sequences of OwnSpot
        Of the examples and of the counter-examples: of the latter only the spot itself is
        left out, not its slide or case.
    within : iterable of str, optional
        Only these slides.

    Raises
    ------
    QueryError
        The filter does not parse.
    """
    blocked = [pool.removed]
    notes: list[str] = []
    for own in (*owns, *against):
        if query.exclude == "overlap" or own in against:
            blocked.extend(own_spot(pool, own, i, query.guard) for i in own.slides)
            continue
        ids, note = _own_slides(query, own, table)
        blocked.append(pool.of_slides(ids))
        notes.extend(note)
    blocked.append(pool.of_slides(table.left_out(query.where)))
    if within is not None:
        blocked.append(ranges.complement(pool.of_slides(within), pool.size))
    blocked.append(ordinals_of(pool, (*query.accepted, *query.rejected, *query.shown)))
    closed = ranges.union(np.concatenate(blocked))
    return ranges.complement(closed, pool.size), tuple(dict.fromkeys(notes))


def _own_slides(query: Query, own: OwnSpot, table: SlideTable) -> tuple[set[str], list[str]]:
    ids = set(own.slides)
    if query.exclude != "case":
        return ids, []
    slides = table.slides
    cases = {slides[i].case_id for i in ids if i in slides} - {""}
    ids |= {i for i, record in slides.items() if record.case_id in cases}
    if cases:
        return ids, []
    return ids, ["The query's slide has no case id: only the slide itself is left out."]


def own_spot(pool: Pool, own: OwnSpot, slide_id: str, guard: float) -> Ranges:
    """The ordinals of a slide's patches on the query's own spot, or nearer than `guard` to it.

    `guard` is in patch widths: right beside what was marked, the tissue goes on.
    """
    ordinals = pool.ordinals(slide_id)
    if not len(ordinals):
        return ranges.EMPTY
    footprint = pool.segment_of(ordinals[:1])[0].footprint
    hit = overlapping(own.geometry, pool.coords(ordinals), footprint, guard * footprint)
    return ranges.from_ordinals(ordinals[hit])


def ordinals_of(pool: Pool, keys: Iterable[PatchKey]) -> Ranges:
    """The ordinals of some patches; those that are not there any more are passed over."""
    wanted: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for key in keys:
        if key.spec == pool.spec:
            wanted[key.slide_id].add((key.x, key.y))
    found = []
    for slide_id, places in wanted.items():
        ordinals = pool.ordinals(slide_id)
        hits = [tuple(place) in places for place in pool.coords(ordinals).tolist()]
        found.append(ordinals[np.asarray(hits, bool)])
    if not found:
        return ranges.EMPTY
    return ranges.from_ordinals(np.concatenate(found))
