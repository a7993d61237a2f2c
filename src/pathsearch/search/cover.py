"""The patches that stand for a region: a grid of its own, at the spec's resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import QueryError
from pathsearch.nouns import Region

if TYPE_CHECKING:
    from shapely import Geometry

#: A region of more patches than this is sampled evenly, and the answer says so.
MAX_PATCHES = 64
#: A patch stands for a region when at least this share of it lies inside.
MIN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Cover:
    """Patches of a region.

    Attributes
    ----------
    xy : int64 array, shape (n, 2)
        Level-0 x, y of the top-left corners.
    weights : float32 array, shape (n,)
        Share of each patch inside the region.
    total : int
        Patches that the whole region has; more than n where it was sampled.
    """

    xy: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    total: int


def region_geometry(region: Region) -> Geometry:
    """The region as one valid shapely geometry, level-0 pixels.

    Raises
    ------
    QueryError
        It has no area.
    """
    import shapely

    try:
        polygons = [shapely.Polygon(p[0], p[1:]) for p in region.polygons]
    except (ValueError, TypeError, IndexError, shapely.GEOSException):
        raise QueryError("a region's polygon needs at least three corners of x, y.") from None
    whole = shapely.union_all([shapely.make_valid(p) for p in polygons])
    if not shapely.area(whole) > 0:
        raise QueryError("a region has no area; use a point for a single place.")
    return whole


def cover_region(geometry: Geometry, footprint: int, max_patches: int = MAX_PATCHES) -> Cover:
    """A grid of patches centred on the region's bounding box, those inside it kept.

    A region smaller than a patch, or too thin for any, gives the one patch centred on it.

    Parameters
    ----------
    geometry : shapely geometry
        Level-0 pixels.
    footprint : int
        Side of a patch, level-0 pixels.
    max_patches : int
        More are thinned evenly in reading order.
    """
    import shapely

    from pathsearch.tiling import Regions

    left, top, right, bottom = shapely.bounds(geometry)
    xs = _steps(left, right, footprint)
    ys = _steps(top, bottom, footprint)
    if len(xs) * len(ys) > 4_000_000:
        raise QueryError("a region is larger than any slide; check that it is in level-0 pixels.")
    shares = Regions(geometry).shares(xs, ys, footprint)
    rows, columns = np.nonzero(shares >= MIN_SHARE)
    if len(rows) == 0:
        centre = shapely.centroid(geometry)
        if not shapely.contains(geometry, centre):
            centre = shapely.point_on_surface(geometry)
        return Cover(patch_at(centre.x, centre.y, footprint), np.ones(1, np.float32), 1)
    total = len(rows)
    if total > max_patches:
        keep = np.linspace(0, total - 1, max_patches).round().astype(np.int64)
        rows, columns = rows[keep], columns[keep]
    xy = np.stack([xs[columns], ys[rows]], axis=1)
    return Cover(xy, shares[rows, columns].astype(np.float32), total)


def patch_at(x: float, y: float, footprint: int) -> npt.NDArray[np.int64]:
    """The patch centred on a place: int64, shape (1, 2), its top-left corner."""
    return np.array([[round(x - footprint / 2), round(y - footprint / 2)]], np.int64)


def _steps(low: float, high: float, footprint: int) -> npt.NDArray[np.int64]:
    count = max(1, math.floor((high - low) / footprint + 0.5))
    start = (low + high - count * footprint) / 2
    return np.round(start + footprint * np.arange(count)).astype(np.int64)


def overlapping(
    geometry: Geometry, xy: npt.NDArray[np.int64], footprint: int, guard: float = 0.0
) -> npt.NDArray[np.bool_]:
    """Which patches (n, 2) share area with a geometry; touching borders do not count.

    Parameters
    ----------
    geometry : shapely geometry
        Level-0 pixels.
    xy : int64 array, shape (n, 2)
        Top-left corners, level-0 pixels.
    footprint : int
        Side of a patch, level-0 pixels.
    guard : float
        So much, in level-0 pixels, is added to every side of each patch first.

    Returns
    -------
    bool array, shape (n,)
    """
    import shapely

    left, top, right, bottom = shapely.bounds(geometry)
    near = (
        (xy[:, 0] + footprint + guard > left)
        & (xy[:, 0] - guard < right)
        & (xy[:, 1] + footprint + guard > top)
        & (xy[:, 1] - guard < bottom)
    )
    hit = np.zeros(len(xy), bool)
    x, y = xy[near, 0], xy[near, 1]
    low, high = 0.5 - guard, footprint - 0.5 + guard
    boxes = shapely.box(x + low, y + low, x + high, y + high)
    shapely.prepare(geometry)
    hit[near] = shapely.intersects(geometry, boxes)
    return hit
