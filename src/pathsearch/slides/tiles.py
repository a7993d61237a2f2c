"""Slides whose levels are grids of tiles: each tile is decoded once, patches are cut from it."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ReadFailedError
from pathsearch.nouns import Batch
from pathsearch.slides.pyramid import PyramidSlide, SlideFacts
from pathsearch.slides.resample import Pixels, average, fill_squares
from pathsearch.slides.resolution import FACTORS, Resolution, choose_resolution
from pathsearch.slides.streaming import Corners

#: Decoded tiles that single reads keep (a viewer pans over the same ones).
_CACHE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class TileGrid:
    """How a level is cut into tiles.

    Attributes
    ----------
    width, height : int
        Of the level in its pixels.
    tile_width, tile_height : int
        Of every tile; the last ones reach over the edge.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int

    @property
    def columns(self) -> int:
        """Number of tiles in a row."""
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return -(-self.height // self.tile_height)

    def inside(self, column: int, row: int) -> tuple[int, int]:
        """Width and height of the part of a tile that lies within the level."""
        return (
            min(self.tile_width, self.width - column * self.tile_width),
            min(self.tile_height, self.height - row * self.tile_height),
        )

    @property
    def factors(self) -> tuple[int, ...]:
        """The whole factors that divide a tile, largest first."""
        return tuple(f for f in FACTORS if self.tile_width % f == 0 and self.tile_height % f == 0)


@dataclass(frozen=True, slots=True)
class TileKey:
    """One tile of a level, at a whole factor."""

    level: int
    factor: int
    column: int
    row: int


#: None where nothing is stored (background), an error where it cannot be decoded.
DecodedTile = Pixels | None | ReadFailedError
#: The tile of a column and a row.
TileAt = Callable[[int, int], DecodedTile]


class TiledSlide(PyramidSlide):
    """A slide of tiles. Subclasses implement `decode_tile`."""

    def __init__(self, facts: SlideFacts, grids: Sequence[TileGrid]) -> None:
        super().__init__(facts)
        self._grids = tuple(grids)
        self._cache: OrderedDict[TileKey, DecodedTile] = OrderedDict()
        self._cached_bytes = 0
        self._cache_lock = threading.Lock()

    @property
    def grids(self) -> tuple[TileGrid, ...]:
        """How each level is cut into tiles."""
        return self._grids

    @abstractmethod
    def decode_tile(self, key: TileKey) -> Pixels | None:
        """The pixels of one tile; safe to call from several threads.

        Returns
        -------
        uint8 array, shape (tile_height / factor, tile_width / factor, 3), or None
            What lies beyond the level's edge has no part in the average, and is undefined
            elsewhere. None where nothing is stored.

        Raises
        ------
        ReadFailedError
        """

    @abstractmethod
    def stored_tiles(self, level: int) -> npt.NDArray[np.int64]:
        """Bytes of each tile of a level, 0 where nothing is stored; in reading order."""

    def resolution(self, mpp: float) -> Resolution:
        """How pixels at `mpp` (µm per pixel) are made of the stored tiles.

        Raises
        ------
        ResolutionTooCoarseError
        """
        plain = choose_resolution(self.levels, mpp, self.mpp, path=self.path)
        factors = self._grids[plain.level].factors
        return choose_resolution(self.levels, mpp, self.mpp, factors=factors, path=self.path)

    def averaged(self, level: int, factor: int, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of a level, averaged over squares of `factor` x `factor` of them.

        Parameters
        ----------
        level, factor : int
        x, y, w, h : int
            In averaged pixels of the level; may reach outside (background).

        Raises
        ------
        ReadFailedError
        """
        out = np.empty((h, w, 3), np.uint8)

        def tile_at(column: int, row: int) -> DecodedTile:
            return self.cached(TileKey(level, factor, column, row))

        self.cut(out, level, factor, (x, y), tile_at)
        return out

    def _stored(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        return self.averaged(level, 1, x, y, w, h)

    def cut(
        self,
        out: Pixels,
        level: int,
        factor: int,
        corner: tuple[int, int],
        tile_at: TileAt,
    ) -> None:
        """Fill an array with the pixels of a level from decoded tiles.

        Parameters
        ----------
        out : uint8 array, shape (h, w, 3)
            Written wholly.
        level, factor : int
        corner : (int, int)
            x, y of `out` in averaged pixels of the level.
        tile_at : callable
            The tile of a column and a row; called once for each tile under the box, and the
            tile is let go before the next one.

        Raises
        ------
        ReadFailedError
            A tile under the box could not be decoded.
        """
        grid = self._grids[level]
        background = self._facts.background
        x, y = corner
        h, w = out.shape[:2]
        right, bottom = -(-grid.width // factor), -(-grid.height // factor)
        if x < 0 or y < 0 or x + w > right or y + h > bottom:
            out[:] = background
        if x >= right or y >= bottom or x + w <= 0 or y + h <= 0:
            return
        tile_w, tile_h = grid.tile_width // factor, grid.tile_height // factor
        x_end, y_end = min(x + w, right), min(y + h, bottom)
        for row in range(max(0, y) // tile_h, (y_end - 1) // tile_h + 1):
            top = row * tile_h
            y0, y1 = max(y, top), min(y_end, top + tile_h)
            for column in range(max(0, x) // tile_w, (x_end - 1) // tile_w + 1):
                tile = tile_at(column, row)
                if isinstance(tile, ReadFailedError):
                    raise tile
                left = column * tile_w
                x0, x1 = max(x, left), min(x_end, left + tile_w)
                out[y0 - y : y1 - y, x0 - x : x1 - x] = (
                    background if tile is None else tile[y0 - top : y1 - top, x0 - left : x1 - left]
                )

    def decoded(self, key: TileKey) -> DecodedTile:
        """The pixels of one tile, or its error in the place of pixels."""
        try:
            return self.decode_tile(key)
        except ReadFailedError as error:
            return error

    def cached(self, key: TileKey) -> DecodedTile:
        """`decoded`, from the tiles of recent reads where it is among them."""
        with self._cache_lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        tile = self.decoded(key)
        with self._cache_lock:
            if key not in self._cache:
                self._cache[key] = tile
                self._cached_bytes += tile_bytes(tile)
            while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
                _, old = self._cache.popitem(last=False)
                self._cached_bytes -= tile_bytes(old)
        return tile

    def read_patches(
        self, xy: Corners, size_px: int, mpp: float, *, batch_size: int, threads: int, prefetch: int
    ) -> Iterator[Batch]:
        """As `stream_patches`: each tile is decoded once, however many patches it serves."""
        from pathsearch.slides.tile_stream import TileStream

        self.check_open()
        stream = TileStream(self, xy, size_px, self.resolution(mpp), batch_size)
        return stream.batches(threads=threads, prefetch=prefetch)

    def close(self) -> None:
        """Give the file back and forget the cached tiles."""
        super().close()
        with self._cache_lock:
            self._cache.clear()
            self._cached_bytes = 0


def tile_bytes(tile: DecodedTile) -> int:
    """Memory that a decoded tile takes."""
    return tile.nbytes if isinstance(tile, np.ndarray) else 0


def averaged_tile(pixels: Pixels, grid: TileGrid, inside: tuple[int, int], factor: int) -> Pixels:
    """A tile averaged over squares, of which only the part within the level counts.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
        At least as large as the part inside.
    grid : TileGrid
    inside : (int, int)
        Width and height of the part within the level.
    factor : int

    Returns
    -------
    uint8 array, shape (tile_height / factor, tile_width / factor, 3)
        Undefined (zero) where a square lies wholly beyond the level's edge.
    """
    w, h = inside
    out = np.zeros((grid.tile_height, grid.tile_width, 3), np.uint8)
    out[:h, :w] = pixels[:h, :w]
    fill_squares(out, inside, factor)
    return average(out, factor)
