"""Areas that look like a region as a whole: sets of patches matched in both directions.

Each patch of the region votes, with its nearest patches in the library, for where the region
would lie; the places with most votes are compared patch by patch. The score of an area is the
mean of two means: how well each patch of the region is found in the area, and each patch of
the area in the region. (Votes as in the generalised Hough transform, Ballard 1981; the
two-way mean as in the Chamfer similarity of sets.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.index.ranges import Ranges, to_mask
from pathsearch.nouns import Query
from pathsearch.search.pool import Pool
from pathsearch.search.slide_table import SlideTable

_VOTES = 100
_PLACES_PER_MATCH = 6
#: An area must hold at least this share of the region's number of patches.
_FILLED = 0.5
#: Areas that share more than this with a better one are left out (of the smaller one's area).
_OVERLAP = 0.3


@dataclass(frozen=True)
class Area:
    """One area: level-0 x, y of its corner, its size, its slide, its score."""

    slide_id: str
    x: int
    y: int
    width: int
    height: int
    score: float


@dataclass(frozen=True)
class RegionPatches:
    """The patches of a query's region.

    Attributes
    ----------
    vectors : float32 array, shape (n, dim)
    offsets : float64 array, shape (n, 2)
        Of each patch's corner from the region's corner, in patch widths.
    size : tuple of float
        Width and height of the region, in patch widths.
    """

    vectors: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float64]
    size: tuple[float, float]


def matching_areas(
    pool: Pool, region: RegionPatches, query: Query, allowed: Ranges, table: SlideTable
) -> list[Area]:
    """The ``query.k`` areas of the region's size that look most like it, best first.

    Areas do not overlap each other much, and hold only allowed patches; the caps per slide and
    per case hold for areas as for patches.
    """
    open_ = to_mask(allowed, pool.size)
    capped = query.per_slide is not None or query.per_case is not None
    # Caps leave out places: more of them are compared, so that enough remain
    places = _places(pool, region, query.k * (4 if capped else 1), allowed, exact=query.exact)
    compared = [_compared(pool, region, i, (x, y), open_) for i, x, y in places]
    areas = [area for area in compared if area is not None]
    areas.sort(key=lambda a: (-a.score, a.slide_id, a.x, a.y))
    kept: list[Area] = []
    slides: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    for area in areas:
        case = table.cases(area.slide_id)
        full = _reached(slides[area.slide_id], query.per_slide) or _reached(
            cases[case], query.per_case
        )
        if full or any(_overlaps(area, better) for better in kept):
            continue
        kept.append(area)
        slides[area.slide_id] += 1
        cases[case] += 1
        if len(kept) == query.k:
            break
    return kept


def _reached(count: int, cap: int | None) -> bool:
    return cap is not None and count >= cap


def _places(
    pool: Pool, region: RegionPatches, k: int, allowed: Ranges, *, exact: bool
) -> list[tuple[str, int, int]]:
    """Corners, in level-0 pixels, that patches of the region vote for, most voted first."""
    votes: dict[tuple[str, int, int], float] = defaultdict(float)
    for vector, offset in zip(region.vectors, region.offsets, strict=True):
        scores, ordinals = pool.search(vector, max(_VOTES, 4 * k), allowed, exact=exact)
        coords = pool.coords(ordinals)
        for score, segment, corner in zip(
            scores.tolist(), pool.segment_of(ordinals), coords, strict=True
        ):
            side = segment.footprint
            # Whole patches are near enough: the grids of query and slide never agree
            cell = np.round(corner / side - offset)
            votes[segment.slide_id, int(cell[0]) * side, int(cell[1]) * side] += max(score, 0.0)
    most = sorted(votes, key=lambda place: (-votes[place], place))
    return most[: _PLACES_PER_MATCH * k]


def _compared(
    pool: Pool,
    region: RegionPatches,
    slide_id: str,
    corner: tuple[int, int],
    open_: npt.NDArray[np.bool_],
) -> Area | None:
    ordinals = pool.ordinals(slide_id)
    side = pool.segment_of(ordinals[:1])[0].footprint
    width, height = (round(length * side) for length in region.size)
    centres = pool.coords(ordinals) + side / 2
    low = np.asarray(corner)
    inside = ((centres >= low) & (centres < np.add(low, (width, height)))).all(axis=1)
    inside &= open_[ordinals]
    expected = region.size[0] * region.size[1]
    if inside.sum() < max(1.0, _FILLED * min(expected, len(region.vectors))):
        return None
    similar = region.vectors @ pool.vectors(ordinals[inside]).T
    score = (similar.max(axis=1).mean() + similar.max(axis=0).mean()) / 2
    return Area(slide_id, corner[0], corner[1], width, height, float(score))


def _overlaps(a: Area, b: Area) -> bool:
    if a.slide_id != b.slide_id:
        return False
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(wide, 0) * max(high, 0)
    return shared > _OVERLAP * min(a.width * a.height, b.width * b.height)
