"""How much of each slide looks like a question, and how one patch or a random one scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.nouns import Footprint, Match, PatchKey
from pathsearch.search.allowed import ordinals_of
from pathsearch.search.pool import Pool

if TYPE_CHECKING:
    from pathsearch.index.ranges import Ranges
    from pathsearch.library import SlideRecord

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class SlideShare:
    """How much of one slide looks like a question.

    Attributes
    ----------
    slide_id, case_id : str
    patches : int
        All that were compared.
    hits : int
        Those that score at least the threshold.
    share : float
        hits / patches, 0..1.
    strength : float
        Mean cosine of the hits; of the best patch where there is none.
    best : float
        Highest cosine, -1..1.
    place : Footprint
        Of the best patch, level-0 pixels.
    area_mm2 : float
        Ground covered by the hits, overlaps counted once per grid step.
    own : bool
        Whether the question was drawn in this slide.
    """

    slide_id: str
    case_id: str
    patches: int
    hits: int
    share: float
    strength: float
    best: float
    place: Footprint
    area_mm2: float
    own: bool = False


def score_all(pool: Pool, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cosine of every patch of a pool with query vectors (m, dim), the nearest counts: (size,).

    One pass over the memory-mapped vectors, block by block.
    """
    scores = np.empty(pool.size, np.float32)
    for start in range(0, pool.size, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, pool.size))
        scores[rows] = (pool.vectors(rows) @ vectors.T).max(axis=1)
    return scores


def share_of_slides(
    pool: Pool,
    scores: npt.NDArray[np.float32],
    threshold: float,
    slides: Mapping[str, SlideRecord],
    own: frozenset[str] = frozenset(),
) -> list[SlideShare]:
    """Slides by how much of them scores at least a threshold, the fullest first.

    Parameters
    ----------
    pool : Pool
    scores : float32 array, shape (pool.size,)
    threshold : float
        Cosine.
    slides : mapping of slide id to SlideRecord
        Slides that are not in it are left out.
    own : frozenset of str
        Slides that the question was drawn in.

    Returns
    -------
    list of SlideShare
        By share, then strength, then best score, then id.
    """
    found = []
    for slide_id, record in slides.items():
        ordinals = pool.ordinals(slide_id)
        if not len(ordinals):
            continue
        mine = scores[ordinals]
        hit = mine >= threshold
        at = int(np.argmax(mine))
        x, y = pool.coords(ordinals[at : at + 1])[0].tolist()
        segment = pool.segment_of(ordinals[at : at + 1])[0]
        side = segment.footprint
        hits = int(hit.sum())
        found.append(
            SlideShare(
                slide_id=slide_id,
                case_id=record.case_id,
                patches=len(mine),
                hits=hits,
                share=hits / len(mine),
                strength=float(mine[hit].mean()) if hits else float(mine[at]),
                best=float(mine[at]),
                place=Footprint(x, y, side, side),
                area_mm2=_area(pool.coords(ordinals[hit]), side, segment.mpp),
                own=slide_id in own,
            )
        )
    return sorted(found, key=lambda s: (-s.share, -s.strength, -s.best, s.slide_id))


def _area(corners: npt.NDArray[np.int64], side: int, mpp: float) -> float:
    """mm² under squares of `side` level-0 pixels at these corners; overlaps count once."""
    if not len(corners):
        return 0.0
    import shapely

    x, y = corners[:, 0], corners[:, 1]
    union = shapely.union_all(shapely.box(x, y, x + side, y + side))
    return float(union.area) * (mpp / 1000) ** 2


def scores_of(
    pool: Pool, vectors: npt.NDArray[np.float32], keys: Sequence[PatchKey]
) -> dict[PatchKey, float]:
    """Cosines of stored patches with query vectors (m, dim); those that are gone are left out."""
    found = {}
    for key in keys:
        held = ordinals_of(pool, [key])
        if len(held):
            row = np.arange(held[0, 0], held[0, 0] + 1)
            found[key] = float((pool.vectors(row) @ vectors.T).max())
    return found


def matches_at(
    pool: Pool,
    ordinals: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float32],
    slides: Mapping[str, SlideRecord],
) -> tuple[Match, ...]:
    """Patches as matches, in the order given, with their true cosines and no percentile."""
    scores = (pool.vectors(ordinals) @ vectors.T).max(axis=1).tolist()
    rows = zip(pool.coords(ordinals).tolist(), pool.segment_of(ordinals), scores, strict=True)
    return tuple(
        Match(
            rank=number,
            key=PatchKey(segment.slide_id, pool.spec, x, y),
            footprint=Footprint(x, y, segment.footprint, segment.footprint),
            mpp=segment.mpp,
            score=score,
            percentile=None,
            case_id=slides[segment.slide_id].case_id,
            metadata=dict(slides[segment.slide_id].metadata),
        )
        for number, ((x, y), segment, score) in enumerate(rows, 1)
    )


def drawn(allowed: Ranges, number: int, seed: int) -> npt.NDArray[np.int64]:
    """Up to `number` different ordinals of the allowed ranges, at random."""
    lengths = allowed[:, 1] - allowed[:, 0]
    total = int(lengths.sum())
    picked = np.random.default_rng(seed).choice(total, min(number, total), replace=False)
    ends = np.cumsum(lengths)
    at = np.searchsorted(ends, picked, side="right")
    return np.asarray(allowed[at, 0] + picked - (ends - lengths)[at], np.int64)
