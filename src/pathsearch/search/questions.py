"""Questions as words and as JSON, both ways."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pathsearch.errors import QueryError, UsageError
from pathsearch.nouns import (
    Combine,
    Example,
    Exclude,
    PatchKey,
    Picture,
    Point,
    Polygon,
    Query,
    Region,
    Ring,
    Vector,
)

MAX_K = 100_000
_EXAMPLES = ("like", "unlike")
_KEYS = ("accepted", "rejected", "shown")
FORMS = "SLIDE#x,y,w,h  SLIDE#x,y  SLIDE#FILE.geojson  or  PICTURE.png@MPP"


def parse_example(word: str) -> Example:
    """One EXAMPLE of the command line.

    Parameters
    ----------
    word : str
        ``SLIDE#x,y,w,h`` (rectangle), ``SLIDE#x,y`` (the patch centred there),
        ``SLIDE#F.geojson`` (regions of any shape) or ``F.png@MPP`` (an image). Lengths in
        level-0 pixels, MPP in µm per pixel. SLIDE may itself hold ``#``: the last counts.

    Raises
    ------
    QueryError
        The word has none of these forms, or its numbers make no sense.
    """
    slide, mark, place = word.rpartition("#")
    if mark:
        if not slide:
            raise QueryError(f"'{word}': no slide before '#'. Use {FORMS}.")
        if place.lower().endswith((".geojson", ".json")):
            return _regions_of_file(slide, place)
        return _place(word, slide, place)
    path, mark, mpp = word.rpartition("@")
    if mark and path:
        return Picture(path, _number(mpp, f"'{word}': '{mpp}' is not a resolution in µm per pixel"))
    raise QueryError(f"'{word}' is not an example. Use {FORMS}.")


def _place(word: str, slide: str, place: str) -> Example:
    parts = place.split(",")
    if len(parts) not in (2, 4):
        raise QueryError(f"'{word}': expected x,y or x,y,w,h after '#', got '{place}'.")
    numbers = [_number(p, f"'{word}': '{p}' is not a number", positive=False) for p in parts]
    if len(numbers) == 2:
        return Point(slide, numbers[0], numbers[1])
    x, y, w, h = numbers
    if w <= 0 or h <= 0:
        raise QueryError(f"'{word}': width and height must be above 0.")
    return Region.rectangle(slide, x, y, w, h)


def _number(text: str, complaint: str, *, positive: bool = True) -> float:
    try:
        value = float(text)
    except ValueError:
        raise QueryError(f"{complaint}.") from None
    if not math.isfinite(value) or (positive and value <= 0):
        raise QueryError(f"{complaint}.")
    return value


def _regions_of_file(slide: str, path: str) -> Region:
    from pathsearch.tiling import load_regions

    regions = load_regions(Path(path))
    return Region(slide, tuple(_polygon(outer, holes) for outer, holes in regions.rings()))


def _polygon(outer: Any, holes: Any) -> Polygon:
    return (_ring(outer), *(_ring(hole) for hole in holes))


def _ring(corners: Any) -> Ring:
    """A ring without its first corner again at the end, as GeoJSON has it."""
    ring = tuple((float(x), float(y)) for x, y in corners)
    return ring[:-1] if len(ring) > 3 and ring[0] == ring[-1] else ring


def query_to_json(query: Query) -> dict[str, Any]:
    """The query as plain JSON values that `query_from_json` takes back."""
    raw: dict[str, Any] = {}
    for name in Query.__dataclass_fields__:
        value = getattr(query, name)
        if name in _EXAMPLES:
            value = [_example_to_json(example) for example in value]
        elif name in _KEYS:
            value = [[key.slide_id, key.spec, key.x, key.y] for key in value]
        raw[name] = value
    return raw


def query_from_json(raw: Mapping[str, Any], *, source: str = "query") -> Query:
    """A query from JSON values.

    Raises
    ------
    QueryError
        A key is unknown or a value does not fit; the message names it.
    """
    if not isinstance(raw, Mapping):
        raise QueryError(f"{source}: expected an object with 'like'.")
    known = set(Query.__dataclass_fields__)
    unknown = sorted(set(raw) - known)
    if unknown:
        raise QueryError(
            f"{source}: unknown key '{unknown[0]}'. Known: {', '.join(sorted(known))}."
        )
    fields: dict[str, Any] = dict(raw)
    for name in (*_EXAMPLES, *_KEYS):
        items = fields.get(name, ())
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise QueryError(f"{source}: '{name}' must be a list.")
        read = _example_from_json if name in _EXAMPLES else _key_from_json
        fields[name] = tuple(read(item, source) for item in items)
    return checked(Query(**fields))


def checked(query: Query) -> Query:
    """The query itself, or QueryError where its values make no sense."""
    for name, kind in (("exclude", Exclude), ("combine", Combine)):
        if getattr(query, name) not in get_args(kind):
            raise QueryError(f"{name} must be one of {', '.join(get_args(kind))}.")
    for name in ("k", "per_slide", "per_case"):
        value = getattr(query, name)
        if value is None and name != "k":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise QueryError(f"{name} must be a whole number of at least 1, got {value!r}.")
    if query.k > MAX_K:
        raise QueryError(f"k must be at most {MAX_K}.")
    for name, high in (("spacing", 1000.0), ("diversity", 1.0), ("guard", 1000.0)):
        value = getattr(query, name)
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or not 0 <= value <= high:
            raise QueryError(f"{name} must be a number from 0 to {high:g}, got {value!r}.")
    if not query.like and not query.accepted:
        raise QueryError("'like' must be a list of at least one example.")
    for name, wanted in (("spec", str), ("where", str), ("exact", bool), ("rotations", bool)):
        if not isinstance(getattr(query, name), wanted):
            raise QueryError(f"{name} must be {'text' if wanted is str else 'true or false'}.")
    return query


def _key_from_json(raw: Any, source: str) -> PatchKey:
    try:
        slide_id, spec, x, y = raw
        return PatchKey(str(slide_id), str(spec), int(x), int(y))
    except (TypeError, ValueError):
        raise QueryError(f"{source}: a patch is [slide_id, spec, x, y], got {raw!r}.") from None


def _closed(ring: Ring) -> list[list[float]]:
    corners = [list(corner) for corner in ring]
    return corners if corners[0] == corners[-1] else [*corners, corners[0]]


def _example_to_json(example: Example) -> dict[str, Any]:
    if isinstance(example, Region):
        coordinates = [[_closed(ring) for ring in polygon] for polygon in example.polygons]
        geometry = {"type": "MultiPolygon", "coordinates": coordinates}
        return {"slide": example.slide, "geometry": geometry}
    if isinstance(example, Point):
        return {"slide": example.slide, "point": [example.x, example.y]}
    if isinstance(example, Picture):
        return {"image": example.path, "mpp": example.mpp}
    return {"vector": list(example.values)}


def _example_from_json(raw: Any, source: str) -> Example:
    if isinstance(raw, str):
        return parse_example(raw)
    try:
        if "geometry" in raw:
            return _region_from_geojson(str(raw["slide"]), raw["geometry"], source)
        if "point" in raw:
            x, y = (float(value) for value in raw["point"])
            return Point(str(raw["slide"]), x, y)
        if "image" in raw:
            return Picture(str(raw["image"]), float(raw["mpp"]))
        if "vector" in raw:
            return Vector(tuple(float(value) for value in raw["vector"]))
    except (KeyError, TypeError, ValueError) as error:
        raise QueryError(f"{source}: an example is not complete ({error}).") from None
    raise QueryError(f"{source}: an example needs 'geometry', 'point', 'image' or 'vector'.")


def _region_from_geojson(slide: str, geometry: Any, source: str) -> Region:
    from pathsearch.tiling.regions import regions_from

    try:
        regions = regions_from(geometry, source=source)
    except UsageError as error:
        raise QueryError(str(error)) from None
    return Region(slide, tuple(_polygon(outer, holes) for outer, holes in regions.rings()))
