"""How similar every patch of a slide is to a question: a map of the slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.errors import QueryError
from pathsearch.search.pool import Pool


@dataclass(frozen=True)
class SimilarityMap:
    """One value a patch, on the slide's grid.

    Attributes
    ----------
    slide_id, spec : str
    values : float32 array, shape (rows, columns)
        Cosine, -1..1; NaN where there is no patch (no tissue).
    origin : tuple of int
        Level-0 x, y of the top-left corner of values[0, 0].
    step : int
        Level-0 pixels from one value to the next, in x and in y.
    footprint : int
        Side of the patch that a value stands for, level-0 pixels.
    """

    slide_id: str
    spec: str
    values: npt.NDArray[np.float32]
    origin: tuple[int, int]
    step: int
    footprint: int


def similarity_map(pool: Pool, slide_id: str, vectors: npt.NDArray[np.float32]) -> SimilarityMap:
    """Compare every stored patch of a slide with query vectors (m, dim); the nearest counts.

    Raises
    ------
    QueryError
        The slide has no patches at this magnification.
    """
    ordinals = pool.ordinals(slide_id)
    if not len(ordinals):
        raise QueryError(f"{slide_id} has no patches at {pool.spec}: index it first.")
    scores = (pool.vectors(ordinals) @ vectors.T).max(axis=1)
    coords = pool.coords(ordinals)
    segment = pool.segment_of(ordinals[:1])[0]
    return on_grid(slide_id, pool.spec, coords, scores, segment.footprint)


def on_grid(
    slide_id: str,
    spec: str,
    coords: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    footprint: int,
) -> SimilarityMap:
    """Values of patches (n, 2) as an array; the grid's step is found from the corners."""
    left, top = coords.min(axis=0).tolist()
    offsets = (coords - (left, top)).ravel()
    step = int(np.gcd.reduce(offsets)) or footprint
    columns, rows = ((coords - (left, top)) // step).T
    if int(rows.max() + 1) * int(columns.max() + 1) > 10**8:
        raise QueryError(f"{slide_id}: its patches are on no common grid; index it again.")
    values = np.full((int(rows.max()) + 1, int(columns.max()) + 1), np.nan, np.float32)
    values[rows, columns] = scores
    return SimilarityMap(slide_id, spec, values, (left, top), step, footprint)
