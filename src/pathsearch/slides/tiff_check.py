"""A few tiles compared with OpenSlide when a slide is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pathsearch.errors import ReadFailedError
from pathsearch.slides.pyramid import WHITE
from pathsearch.slides.resample import Pixels, composite
from pathsearch.slides.tiles import TileKey

if TYPE_CHECKING:
    from pathsearch.slides.tiff_reader import TiffSlide

#: Tiles compared at the finest level, and at each of the others.
_TILES = (3, 1)
#: OpenSlide interpolates where a level's pixel is not at a whole level-0 pixel. There, means
#: over squares of 8 pixels may differ by so many levels of 255; a wrong tile, level or colour
#: differs by far more.
_LOOSE_SQUARE, _LOOSE = 8, 16.0
#: OpenSlide takes an offset of less than this share of a pixel for none.
_WHOLE = 0.003


def difference_from_openslide(slide: TiffSlide, handle: Any) -> str:
    """In what a slide differs from OpenSlide's reading of it; empty if in nothing.

    Tiles that neither decodes are left out: they are damaged. So are those that only
    OpenSlide does not.

    Parameters
    ----------
    slide : TiffSlide
    handle : openslide.OpenSlide
        Of the same file; a failed read makes it useless.
    """
    if tuple(handle.dimensions) != slide.size:
        return f"OpenSlide has another size, {handle.dimensions[0]} x {handle.dimensions[1]}"
    theirs = {tuple(size): i for i, size in enumerate(handle.level_dimensions)}
    ours = {(level.width, level.height) for level in slide.levels}
    if not set(theirs) <= ours:
        return "OpenSlide finds other levels"
    for number, level in enumerate(slide.levels):
        in_openslide = theirs.get((level.width, level.height))
        if in_openslide is None:
            continue
        for key in _sample(slide, number):
            differs = _tile_differs(slide, key, handle, in_openslide)
            if differs:
                return differs
    return ""


def _sample(slide: TiffSlide, level: int) -> list[TileKey]:
    """Tiles with the most bytes, which hold the most detail, of separate parts of a level."""
    counts = slide.stored_tiles(level)
    columns = slide.grids[level].columns
    keys = []
    for part in np.array_split(np.arange(len(counts)), _TILES[min(level, 1)]):
        if len(part) and counts[part].max() > 0:
            number = int(part[np.argmax(counts[part])])
            keys.append(TileKey(level, 1, number % columns, number // columns))
    return keys


def _tile_differs(slide: TiffSlide, key: TileKey, handle: Any, level: int) -> str:
    grid = slide.grids[key.level]
    x, y = key.column * grid.tile_width, key.row * grid.tile_height
    w, h = grid.inside(key.column, key.row)
    w, h = min(w, 1024), min(h, 1024)  # a strip can be as long as the slide is wide
    downsample = handle.level_downsamples[level]
    corner = (round(x * downsample), round(y * downsample))
    exact = all(
        abs(at / downsample - place) < _WHOLE for at, place in zip(corner, (x, y), strict=True)
    )
    theirs = _theirs(handle, corner, level, (w, h))
    if theirs is None:
        return ""
    try:
        tile = slide.decode_tile(key)
    except ReadFailedError as error:
        return f"OpenSlide decodes a tile that this reader does not ({error.message.rstrip('.')})"
    if tile is None:
        return ""
    return "" if _alike(tile[:h, :w], theirs, exact) else "a tile differs from OpenSlide's"


def _theirs(
    handle: Any, corner: tuple[int, int], level: int, size: tuple[int, int]
) -> Pixels | None:
    import openslide

    try:
        return composite(np.asarray(handle.read_region(corner, level, size)), WHITE)
    except openslide.OpenSlideError:
        return None


def _alike(ours: Pixels, theirs: Pixels, exact: bool) -> bool:
    if exact:
        return bool(np.array_equal(ours, theirs))
    h, w = (side // _LOOSE_SQUARE * _LOOSE_SQUARE for side in ours.shape[:2])
    if not h or not w:
        return True
    squares = [
        pixels[:h, :w]
        .reshape(h // _LOOSE_SQUARE, _LOOSE_SQUARE, w // _LOOSE_SQUARE, _LOOSE_SQUARE, 3)
        .mean(axis=(1, 3))
        for pixels in (ours, theirs)
    ]
    return bool(np.abs(squares[0] - squares[1]).mean() < _LOOSE / 2)
