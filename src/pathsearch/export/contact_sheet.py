"""The query and its matches in one picture."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import SlideError
from pathsearch.export.pictures import with_scale_bar
from pathsearch.nouns import Example, Match, Picture, Point, Region, Slide, TileSpec

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from pathsearch.export.pictures import Pictures
    from pathsearch.export.records import Item
    from pathsearch.library import Library

#: Colour-blind safe (Okabe and Ito, 2008).
_QUERY_COLOUR = (213, 94, 0)
_MATCH_COLOUR = (0, 114, 178)
_INK = (30, 30, 30)
_FAINT = (110, 110, 110)
_GAP = 14
_CAPTION = 62


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet.

    Attributes
    ----------
    pixels : uint8 array, shape (side, side, 3)
    outline : list of rings, each a list of (x, y)
        In pixels of the picture.
    lines : tuple of str
        The caption.
    microns : float
        Width of what it shows; 0 where that is not known.
    """

    pixels: npt.NDArray[np.uint8]
    outline: list[list[tuple[float, float]]]
    lines: tuple[str, ...]
    microns: float = 0.0


def contact_sheet(
    library: Library,
    like: Sequence[Example],
    matches: Sequence[Match],
    *,
    side: int = 240,
    columns: int = 5,
    title: str = "",
    names: Mapping[str, str] | None = None,
) -> Image:
    """Draw the query's examples and its matches, each with a little of its surroundings.

    Parameters
    ----------
    library : Library
        Gives the slides' places.
    like : sequence of examples
        Vectors have no picture and are passed over.
    matches : sequence of Match
    side : int
        Of each picture, pixels.
    columns : int
        Matches in a row.
    title : str
    names : mapping of str to str, optional
        What to write for the name of a slide, where it is not the name itself.

    Returns
    -------
    PIL.Image.Image
        RGB. A slide that is not at hand shows its name on grey.
    """
    spec = library.specs[matches[0].key.spec] if matches else next(iter(library.specs.values()))
    queries = [t for t in (query_tile(library, e, spec, side) for e in like) if t is not None]
    found = _match_tiles(library, matches, side)
    if names:
        short = {_short(name): _short(written) for name, written in names.items()}
        queries, found = (
            [replace(t, lines=tuple(short.get(line, line) for line in t.lines)) for t in tiles]
            for tiles in (queries, found)
        )
    return _layout(queries, found, side, columns, title)


def sheet_of_items(
    pictures: Pictures, items: Sequence[Item], *, title: str, columns: int = 5, side: int = 240
) -> Image:
    """A contact sheet of exported places, verdicts and classes below their pictures."""
    return _layout([], [_item_tile(pictures, item, side) for item in items], side, columns, title)


def _item_tile(pictures: Pictures, item: Item, side: int) -> Tile:
    said = [word for word in (item.label, item.decision) if word]
    if item.score is not None:
        said.append(f"{item.score:.3f}")
    lines = (str(item.number), _short(item.slide_id), _short(" · ".join(said)))
    picture, window = pictures.around(item.source, item.footprint, times=1.25, side=side)
    if picture is None:
        return Tile(np.full((side, side, 3), 225, np.uint8), [], (*lines[:2], "slide not at hand"))
    box = item.footprint
    ring = [(box.x, box.y), (box.x + box.width, box.y), (box.x + box.width, box.y + box.height)]
    ring.append((box.x, box.y + box.height))
    wide = window[2] * item.mpp
    return Tile(np.asarray(picture), _scaled([ring], window[:3], side), lines, wide)


def query_tile(library: Library, example: Example, spec: TileSpec, side: int) -> Tile | None:
    """An example with a little of its surroundings; None for vectors, which have no picture.

    Raises
    ------
    SlideError
        Its slide is not at hand.
    """
    from pathsearch.slides import open_slide

    if isinstance(example, Picture):
        with open_slide(example.path, mpp=example.mpp) as slide:
            whole = max(slide.size)
            pixels = _crop(slide, (0, 0, whole), side)
        lines = ("query", example.path.rsplit("/", 1)[-1])
        return Tile(pixels, [], lines, whole * example.mpp)
    if isinstance(example, Point):
        name, rings = example.slide, None
    elif isinstance(example, Region):
        name, rings = example.slide, [list(ring) for p in example.polygons for ring in p]
    else:
        return None
    with _open(library, name) as slide:
        patch = spec.size_px * spec.mpp / slide.mpp
        if rings is None:
            assert isinstance(example, Point)
            rings = [_square(example.x - patch / 2, example.y - patch / 2, patch)]
        corners = np.concatenate([np.asarray(ring) for ring in rings])
        low, high = corners.min(axis=0), corners.max(axis=0)
        window = float(max(*(high - low), patch)) * 1.25
        centre = (low + high) / 2
        box = (float(centre[0] - window / 2), float(centre[1] - window / 2), window)
        pixels = _crop(slide, box, side)
        microns = window * slide.mpp
    return Tile(
        pixels,
        _scaled(rings, box, side),
        ("query", _short(name), f"{microns / 1000:.2f} mm wide"),
        microns,
    )


def _match_tiles(library: Library, matches: Sequence[Match], side: int) -> list[Tile]:
    """Pictures of the matches, in their order; each slide is opened once."""
    by_slide: dict[str, list[Match]] = {}
    for match in matches:
        by_slide.setdefault(match.key.slide_id, []).append(match)
    tiles: dict[int, Tile] = {}
    for slide_id, own in by_slide.items():
        with contextlib.ExitStack() as stack:
            slide = None
            with contextlib.suppress(SlideError):
                slide = stack.enter_context(_open(library, slide_id))
            tiles |= {id(match): _match_tile(slide, match, side) for match in own}
    return [tiles[id(match)] for match in matches]


def _match_tile(slide: Slide | None, match: Match, side: int) -> Tile:
    """A match's picture; without its slide, or where that is damaged, its name on grey."""
    where = f"{match.score:.3f}"
    if match.percentile is not None:
        where += f" · closer than {match.percentile:.0f}%"
    lines = (f"{match.rank}", _short(match.key.slide_id), where)
    foot = match.footprint
    window = foot.width * 1.25
    box = (foot.x + foot.width / 2 - window / 2, foot.y + foot.height / 2 - window / 2, window)
    pixels = None
    if slide is not None:
        with contextlib.suppress(SlideError):
            pixels = _crop(slide, box, side)
    if pixels is None:
        grey = np.full((side, side, 3), 225, np.uint8)
        return Tile(grey, [], (*lines[:2], "slide not at hand"))
    ring = _square(foot.x, foot.y, foot.width)
    return Tile(pixels, _scaled([ring], box, side), lines, window * match.mpp)


def _open(library: Library, name: str) -> Slide:
    from pathsearch.search.examples import find_record
    from pathsearch.slides import open_slide

    record = find_record(library, name)
    if record is None:
        return open_slide(name)
    return open_slide(library.locate(record), mpp=record.mpp)


def _crop(slide: Slide, box: tuple[float, float, float], side: int) -> npt.NDArray[np.uint8]:
    """A square window (x, y, width in level 0) as (side, side, 3), finer detail averaged."""
    from PIL import Image as Images

    x, y, window = box
    mpp = max(window * slide.mpp / side, slide.mpp)
    pixels = max(1, round(window * slide.mpp / mpp))
    crop = slide.read(x, y, pixels, pixels, mpp)
    if pixels == side:
        return crop
    enlarged = Images.fromarray(crop).resize((side, side), Images.Resampling.LANCZOS)
    return np.asarray(enlarged)


def _square(x: float, y: float, size: float) -> list[tuple[float, float]]:
    return [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]


def _scaled(
    rings: Sequence[Sequence[tuple[float, float]]], box: tuple[float, float, float], side: int
) -> list[list[tuple[float, float]]]:
    x, y, window = box
    return [[((a - x) * side / window, (b - y) * side / window) for a, b in r] for r in rings]


def _short(name: str, limit: int = 30) -> str:
    name = name.replace("\\", "/")
    return name if len(name) <= limit else "…" + name[-(limit - 1) :]


def _layout(
    queries: Sequence[Tile], found: Sequence[Tile], side: int, columns: int, title: str
) -> Image:
    from PIL import Image as Images
    from PIL import ImageDraw as Drawing

    step, cell = side + _GAP, side + _CAPTION + _GAP
    head = 44 if title else _GAP
    rows = max(1, -(-len(found) // columns), len(queries))
    left = step + 2 * _GAP if queries else 0
    width = _GAP + left + min(columns, max(len(found), 1)) * step
    sheet = Images.new("RGB", (width, head + rows * cell), "white")
    draw = Drawing.Draw(sheet)
    if title:
        draw.text((_GAP, 12), title, fill=_INK, font=_font(17))
    for number, tile in enumerate(queries):
        _draw_tile(sheet, draw, tile, (_GAP, head + number * cell), _QUERY_COLOUR)
    if queries:
        x = _GAP + side + _GAP + _GAP // 2
        draw.line([(x, head), (x, head + rows * cell - _GAP)], fill=(200, 200, 200), width=2)
    for number, tile in enumerate(found):
        row, column = divmod(number, columns)
        at = (_GAP + left + column * step, head + row * cell)
        _draw_tile(sheet, draw, tile, at, _MATCH_COLOUR)
    return sheet


def _draw_tile(
    sheet: Image, draw: ImageDraw, tile: Tile, at: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    x, y = at
    picture = drawn_tile(tile, colour)
    if tile.microns:
        picture = with_scale_bar(picture, tile.microns / picture.width)
    sheet.paste(picture, (x, y))
    side = picture.width
    draw.text((x, y + side + 3), tile.lines[0], fill=colour, font=_font(15))
    name = tile.lines[1] if len(tile.lines) > 1 else ""
    draw.text(
        (x + 26 if tile.lines[0] != "query" else x + 48, y + side + 5),
        name,
        fill=_INK,
        font=_font(12),
    )
    for number, line in enumerate(tile.lines[2:]):
        draw.text((x, y + side + 24 + 16 * number), line, fill=_FAINT, font=_font(12))


def drawn_tile(tile: Tile, colour: tuple[int, int, int]) -> Image:
    """The tile's picture with its outline."""
    from PIL import Image as Images

    picture = Images.fromarray(tile.pixels)
    _outline(picture, tile.outline, colour)
    return picture


def _outline(
    picture: Image, rings: Sequence[Sequence[tuple[float, float]]], colour: tuple[int, int, int]
) -> None:
    from PIL import ImageDraw as Drawing

    draw = Drawing.Draw(picture)
    for ring in rings:
        closed = [*ring, ring[0]]
        draw.line(closed, fill="white", width=5, joint="curve")
        draw.line(closed, fill=colour, width=3, joint="curve")


def _font(size: int):  # type: ignore[no-untyped-def]  # Pillow's two font classes
    from PIL import ImageFont

    return ImageFont.load_default(size)
