"""The regions that a user drew: GeoJSON as QuPath exports it, level-0 pixels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from shapely import Geometry

#: Lines a pixel when a region is drawn onto the pixels of a mask.
LINES = 4
#: Deepest nesting of feature and geometry collections that is followed.
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Regions:
    """Parts of a slide, level-0 pixels.

    Attributes
    ----------
    geometry : shapely Polygon or MultiPolygon
        Their union; holes are holes.
    digest : str
        64 hex digits over the corners as they were drawn, whatever their order, names and
        colours; the same on every machine. Empty where the regions are not from GeoJSON.
    """

    geometry: Geometry
    digest: str = ""

    def shares(
        self, xs: npt.NDArray[np.int64], ys: npt.NDArray[np.int64], footprint: int
    ) -> npt.NDArray[np.float64]:
        """Share of each square of a grid that lies inside, exactly.

        Parameters
        ----------
        xs, ys : int64 arrays, shapes (c,) and (r,)
            Level-0 corners of the squares.
        footprint : int
            Side of the squares, level-0 pixels.

        Returns
        -------
        float64 array, shape (r, c)
        """
        import shapely

        share = np.zeros((len(ys), len(xs)))
        if not share.size:
            return share
        left, top, right, bottom = shapely.bounds(self.geometry)
        rows = np.nonzero((ys + footprint > top) & (ys < bottom))[0]
        columns = np.nonzero((xs + footprint > left) & (xs < right))[0]
        if not len(rows) or not len(columns):
            return share
        x, y = np.meshgrid(xs[columns], ys[rows])
        boxes = shapely.box(x, y, x + footprint, y + footprint)
        shapely.prepare(self.geometry)
        inside = shapely.contains(self.geometry, boxes)
        part = ~inside & shapely.intersects(self.geometry, boxes)
        found = inside.astype(np.float64)
        overlap = shapely.intersection(boxes[part], self.geometry)
        found[part] = shapely.area(overlap) / float(footprint) ** 2
        share[np.ix_(rows, columns)] = found
        return share

    def share_of(self, bounds: tuple[int, int, int, int]) -> float:
        """Share of a level-0 rectangle (x, y, width, height) that lies inside."""
        import shapely

        x, y, width, height = bounds
        overlap = shapely.intersection(self.geometry, shapely.box(x, y, x + width, y + height))
        return float(shapely.area(overlap)) / max(1.0, float(width) * float(height))

    def coverage(
        self, origin: tuple[float, float], scale: float, shape: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """How much of each pixel of a mask lies inside.

        Parameters
        ----------
        origin : tuple of float
            Level-0 x and y of the mask's top-left corner.
        scale : float
            Level-0 pixels per pixel of the mask.
        shape : tuple of int
            Rows and columns of the mask.

        Returns
        -------
        float32 array of `shape`, 0..1
        """
        rings = [ring for exterior, holes in self.rings() for ring in (exterior, *holes)]
        return ring_coverage([(ring - np.asarray(origin)) / scale for ring in rings], shape)

    def rings(self) -> list[tuple[npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]]:
        """Outline and holes of each polygon, float64 (n, 2) arrays of level-0 x, y."""
        import shapely

        return [
            (
                shapely.get_coordinates(shapely.get_exterior_ring(polygon)),
                [
                    shapely.get_coordinates(shapely.get_interior_ring(polygon, i))
                    for i in range(shapely.get_num_interior_rings(polygon))
                ],
            )
            for polygon in shapely.get_parts(self.geometry)
        ]


def ring_coverage(
    rings: list[npt.NDArray[np.float64]], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """How much of each pixel lies inside of rings, by the even-odd rule.

    Parameters
    ----------
    rings : list of float64 arrays, shape (n, 2)
        Closed lines of x, y in pixels.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    float32 array of `shape`, 0..1
        Exact along x, and the mean of `LINES` lines along y.
    """
    h, w = shape
    starts = np.concatenate([ring[:-1] for ring in rings])
    stops = np.concatenate([ring[1:] for ring in rings])
    # Line k runs at y = (k + 0.5) / LINES; an edge crosses lines first .. last - 1.
    low = np.minimum(starts[:, 1], stops[:, 1]) * LINES - 0.5
    high = np.maximum(starts[:, 1], stops[:, 1]) * LINES - 0.5
    first = np.clip(np.ceil(low), 0, h * LINES).astype(np.int64)
    last = np.clip(np.ceil(high), 0, h * LINES).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(count)), count)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    a, b = starts[edge], stops[edge]
    t = ((line + 0.5) / LINES - a[:, 1]) / (b[:, 1] - a[:, 1])
    x = np.clip(a[:, 0] + t * (b[:, 0] - a[:, 0]), 0, w)
    order = np.lexsort((x, line))
    line, x = line[order], x[order]
    # Along a line the crossings enter and leave in turn, and come in pairs.
    sign = np.where(np.arange(len(x)) % 2 == 0, 1.0, -1.0)
    cell = np.minimum(x.astype(np.int64), w - 1)
    part = cell + 1 - x
    at = (line // LINES) * (w + 1) + cell
    steps = np.bincount(at, sign * part, h * (w + 1))
    steps += np.bincount(at + 1, sign * (1 - part), h * (w + 1))
    cover = np.cumsum(steps.reshape(h, w + 1), axis=1)[:, :w] / LINES
    return np.clip(cover, 0, 1).astype(np.float32)


def load_regions(path: Path | str) -> Regions:
    """Read the polygons of a GeoJSON file.

    A FeatureCollection, a Feature, a geometry, or a bare list of them, as QuPath exports;
    coordinates are level-0 pixels. Points and lines have no area and are passed over.

    Raises
    ------
    UsageError
        The file is missing, is not GeoJSON, or holds no polygon.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).", path=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not GeoJSON ({error}).", path=str(path)) from None
    return regions_from(raw, source=str(path))


def regions_from(raw: Any, *, source: str = "regions") -> Regions:
    """The same as `load_regions`, from JSON that is already parsed."""
    import shapely

    polygons: list[Any] = []
    try:
        _collect(raw, polygons, 0)
    except (TypeError, ValueError, KeyError, IndexError, RecursionError) as error:
        raise UsageError(
            f"{source}: a polygon's coordinates are not lists of x, y in level-0 pixels ({error}).",
            source=source,
        ) from None
    if not polygons:
        raise UsageError(
            f"{source}: holds no Polygon or MultiPolygon; draw an area and export it as GeoJSON.",
            source=source,
        )
    # Hand-drawn outlines cross themselves; make_valid keeps every enclosed part.
    whole = shapely.union_all(shapely.make_valid(np.asarray(polygons, dtype=object)))
    parts = [p for p in shapely.get_parts(whole) if shapely.area(p) > 0]
    if not parts:
        raise UsageError(f"{source}: its regions have no area.", source=source)
    return Regions(shapely.union_all(parts), _digest(polygons))


def _digest(polygons: list[Any]) -> str:
    """Of the polygons as drawn: their union may come out otherwise in another GEOS."""
    import shapely

    drawn = sorted(shapely.to_wkb(polygon, byte_order=1) for polygon in polygons)
    return hashlib.sha256(b"".join(drawn)).hexdigest()


def _collect(raw: Any, found: list[Any], depth: int) -> None:
    """Append the polygons of a piece of GeoJSON to `found`."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(raw, list):
        for item in raw:
            _collect(item, found, depth + 1)
    elif isinstance(raw, dict):
        kind = raw.get("type")
        if kind == "Polygon":
            found.append(_polygon(raw["coordinates"]))
        elif kind == "MultiPolygon":
            found.extend(_polygon(rings) for rings in raw["coordinates"])
        else:
            for key in ("features", "geometry", "geometries"):
                if raw.get(key) is not None:
                    _collect(raw[key], found, depth + 1)


def _polygon(rings: Any) -> Any:
    """A shapely polygon from GeoJSON rings; third coordinates are dropped."""
    import shapely

    arrays = [np.asarray([(float(p[0]), float(p[1])) for p in ring]) for ring in rings]
    if not arrays or any(len(ring) < 3 for ring in arrays):
        raise ValueError("a ring has fewer than three corners")
    if not all(np.isfinite(ring).all() for ring in arrays):
        raise ValueError("a coordinate is not a finite number")
    return shapely.Polygon(arrays[0], arrays[1:])
