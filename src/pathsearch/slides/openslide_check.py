"""A few tiles compared with OpenSlide when a slide is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pathsearch.errors import ReadFailedError, SlideUnreadableError
from pathsearch.slides.openslide_reader import open_handle
from pathsearch.slides.pyramid import WHITE
from pathsearch.slides.resample import Pixels, composite
from pathsearch.slides.tiles import TiledSlide, TileKey

#: Tiles compared at the finest level, and at each of the others.
_TILES = (3, 1)
#: The same of an NDPI, whose table of pieces is now and then wrong.
_NDPI_TILES = (16, 2)
#: OpenSlide interpolates where a level's pixel is not at a whole level-0 pixel. There, means
#: over squares of 8 pixels may differ by so many levels of 255; a wrong tile, level or colour
#: differs by far more.
_LOOSE_SQUARE, _LOOSE = 8, 8.0
#: OpenSlide takes an offset of less than this share of a pixel for none.
_WHOLE = 0.003
#: A strip can be as long as the slide is wide: no more than this is compared, pixels.
_LARGEST = 1024


#: What the comparison gave, by path, size and time of change: a slide is opened several times
#: in a run, and comparing takes most of the time that opening takes.
_DIFFERENCES: dict[tuple[str, int, int], str] = {}
_REMEMBERED = 4096


def checked(slide: TiledSlide, handle: Any) -> str:
    """`difference_from_openslide`, worked out once for a file that does not change.

    Parameters
    ----------
    slide : TiledSlide
    handle : openslide.OpenSlide or None
        None where OpenSlide does not open the file: there is nothing to compare with.
    """
    if handle is None:
        return ""
    path = Path(slide.path)
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _DIFFERENCES:
        differs = difference_from_openslide(slide, handle)
        if len(_DIFFERENCES) >= _REMEMBERED:
            _DIFFERENCES.clear()
        _DIFFERENCES[key] = differs
    return _DIFFERENCES[key]


def difference_from_openslide(slide: TiledSlide, handle: Any) -> str:
    """In what a slide differs from OpenSlide's reading of it; empty if in nothing.

    Tiles that OpenSlide does not decode are left out: there is nothing to compare with, be
    it that they are damaged, or that OpenSlide does not know the compression.

    Parameters
    ----------
    slide : TiledSlide
    handle : openslide.OpenSlide
        Of the same file; of no use any more after a read that failed.
    """
    width, height = handle.dimensions
    if (width, height) != slide.size:
        return f"OpenSlide has another size, {width} x {height}"
    theirs = {tuple(size): i for i, size in enumerate(handle.level_dimensions)}
    ours = {(level.width, level.height) for level in slide.levels}
    # Of an NDPI, OpenSlide makes up levels that are not stored.
    if not (ours <= set(theirs) if slide.info.vendor == "hamamatsu" else set(theirs) <= ours):
        return "OpenSlide finds other levels"
    if slide.info.vendor == "aperio" and any(
        slide.stored_tiles(number).min() == 0 for number in range(1, len(slide.levels))
    ):
        return "tiles are missing, which OpenSlide draws from a finer level"
    downsamples = handle.level_downsamples
    for number, level in enumerate(slide.levels):
        in_openslide = theirs.get((level.width, level.height))
        if in_openslide is None:
            continue
        for key in _sample(slide, number):
            view = _TheirTile(slide, key, in_openslide, downsamples[in_openslide])
            pixels = view.read(handle)
            if pixels is None:  # after an error the handle is of no more use
                handle = _opened(slide.path)
                if handle is None:
                    return ""
                continue
            differs = _tile_differs(slide, key, pixels, view.exact)
            if differs:
                return differs
    return ""


def _opened(path: str) -> Any:
    try:
        return open_handle(Path(path))
    except SlideUnreadableError:
        return None


def _sample(slide: TiledSlide, level: int) -> list[TileKey]:
    """Tiles with the most bytes, which hold the most detail, of separate parts of a level."""
    counts = slide.stored_tiles(level)
    columns = slide.grids[level].columns
    number_of_tiles = _NDPI_TILES if slide.info.vendor == "hamamatsu" else _TILES
    keys = []
    for part in np.array_split(np.arange(len(counts)), number_of_tiles[min(level, 1)]):
        if len(part) and counts[part].max() > 0:
            number = int(part[np.argmax(counts[part])])
            keys.append(TileKey(level, 1, number % columns, number // columns))
    return keys


class _TheirTile:
    """The place of a tile, or of the upper left part of a large one, in OpenSlide."""

    def __init__(self, slide: TiledSlide, key: TileKey, level: int, downsample: float) -> None:
        grid = slide.grids[key.level]
        place = (key.column * grid.tile_width, key.row * grid.tile_height)
        w, h = grid.inside(key.column, key.row)
        self._level = level
        self._corner = (round(place[0] * downsample), round(place[1] * downsample))
        self._size = (min(w, _LARGEST), min(h, _LARGEST))
        self.exact = all(
            abs(at / downsample - pixel) < _WHOLE
            for at, pixel in zip(self._corner, place, strict=True)
        )

    def read(self, handle: Any) -> Pixels | None:
        """Its pixels, or None where OpenSlide fails."""
        import openslide

        try:
            rgba = handle.read_region(self._corner, self._level, self._size)
        except openslide.OpenSlideError:
            return None
        return composite(np.asarray(rgba), WHITE)


def _tile_differs(slide: TiledSlide, key: TileKey, theirs: Pixels, exact: bool) -> str:
    try:
        tile = slide.decode_tile(key)
    except ReadFailedError as error:
        reason = error.message.removeprefix(f"{slide.path}: ").rstrip(".")
        return f"OpenSlide decodes what this reader does not: {reason}"
    h, w = theirs.shape[:2]
    if tile is None or _alike(tile[:h, :w], theirs, exact):
        return ""
    return "a tile differs from OpenSlide's"


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
    return bool(np.abs(squares[0] - squares[1]).mean() < _LOOSE)
