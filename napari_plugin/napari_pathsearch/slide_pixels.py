"""The pixels of a slide as arrays that napari shows as a multi-resolution image.

A view never waits for the disk: what napari asks for is answered from memory, with coarser
pixels where the tiles are not here yet; they are read by other threads, and the view is drawn
again. Whoever else indexes the arrays waits, and gets the pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathsearch.levels import ShownLevel, shown_levels
from napari_pathsearch.tiles import TILE, Pixels, Reader, Tile, TileStore

if TYPE_CHECKING:
    from pathsearch.nouns import Slide

#: The coarsest level is read when a slide is opened, unless this many stored pixels lie below.
QUICK_PIXELS = 4e8


class SlidePixels:
    """All levels of one open slide.

    Parameters
    ----------
    slide : Slide
        Open; closed by `close`.
    store : TileStore
    thumbnail : uint8 array, shape (h, w, 3), optional
        Stands in until the coarsest level is read, where that takes long.
    on_fault : callable, optional
        Told of the first pixels that cannot be read; from any thread.

    Attributes
    ----------
    levels : tuple of ShownLevel
    arrays : list of LevelArray
        For napari, finest first.
    """

    def __init__(
        self,
        slide: Slide,
        store: TileStore,
        thumbnail: Pixels | None = None,
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        self.slide = slide
        self.store = store
        self.levels = shown_levels(slide)
        sizes = tuple((s.width, s.height, s.downsample) for s in self.levels)
        self.reader = Reader(slide, sizes, on_fault)
        self.arrays = [LevelArray(self, number) for number in range(len(self.levels))]
        self.overview = self._first_picture(thumbnail)
        self.overview.flags.writeable = False

    @property
    def coarsest(self) -> ShownLevel:
        """The last level."""
        return self.levels[-1]

    def _first_picture(self, thumbnail: Pixels | None) -> Pixels:
        last = len(self.levels) - 1
        stored = max(level.downsample for level in self.slide.levels)
        below = self.slide.size[0] * self.slide.size[1] / stored**2
        if self.coarsest.stored or below <= QUICK_PIXELS:
            return self.exact(last, (0, self.coarsest.height), (0, self.coarsest.width))
        self.store.want(
            self.reader, self._tiles(last, (0, self.coarsest.height), (0, self.coarsest.width))
        )
        if thumbnail is None:
            return np.full((1, 1, 3), 238, np.uint8)
        return np.array(thumbnail, np.uint8)

    def exact(self, level: int, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
        """Pixels of a level; waits until they are read.

        Parameters
        ----------
        level : int
        rows, columns : (int, int)
            First, and one past the last, inside the level.

        Returns
        -------
        uint8 array, shape (rows, columns, 3)
        """
        out = np.empty((rows[1] - rows[0], columns[1] - columns[0], 3), np.uint8)
        for tile in self._tiles(level, rows, columns):
            self._put(out, tile, self.store.read(self.reader, tile), rows, columns)
        return out

    def at_hand(self, level: int, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
        """As `exact`, without waiting: coarser pixels where a tile is not here yet.

        What is missing is read soon, the middle first; `reader.on_loaded` tells.
        """
        out = np.empty((rows[1] - rows[0], columns[1] - columns[0], 3), np.uint8)
        missing = []
        for tile in self._tiles(level, rows, columns):
            pixels = self.store.get(tile)
            if pixels is None:
                missing.append(tile)
                self._stand_in(out, tile, rows, columns)
            else:
                self._put(out, tile, pixels, rows, columns)
        self.store.want(self.reader, missing)
        return out

    def _tiles(self, level: int, rows: tuple[int, int], columns: tuple[int, int]) -> list[Tile]:
        """The tiles of a region, those in its middle first."""
        if rows[1] <= rows[0] or columns[1] <= columns[0]:
            return []
        middle = (sum(rows) / 2 / TILE - 0.5, sum(columns) / 2 / TILE - 0.5)
        found = [
            Tile(self.reader.number, level, row, column)
            for row in range(rows[0] // TILE, -(-rows[1] // TILE))
            for column in range(columns[0] // TILE, -(-columns[1] // TILE))
        ]
        return sorted(found, key=lambda t: (t.row - middle[0]) ** 2 + (t.column - middle[1]) ** 2)

    @staticmethod
    def _put(
        out: Pixels, tile: Tile, pixels: Pixels, rows: tuple[int, int], columns: tuple[int, int]
    ) -> None:
        """Copy the part of a tile that lies in the region."""
        top, left = tile.row * TILE, tile.column * TILE
        r0, r1 = max(rows[0], top), min(rows[1], top + len(pixels))
        c0, c1 = max(columns[0], left), min(columns[1], left + pixels.shape[1])
        out[r0 - rows[0] : r1 - rows[0], c0 - columns[0] : c1 - columns[0]] = pixels[
            r0 - top : r1 - top, c0 - left : c1 - left
        ]

    def _stand_in(
        self, out: Pixels, tile: Tile, rows: tuple[int, int], columns: tuple[int, int]
    ) -> None:
        """Fill a missing tile's part of the region with the best coarser pixels."""
        top, left = tile.row * TILE, tile.column * TILE
        level = self.levels[tile.level]
        r0, r1 = max(rows[0], top), min(rows[1], top + TILE, level.height)
        c0, c1 = max(columns[0], left), min(columns[1], left + TILE, level.width)
        source, per_row, per_column, origin = self._coarser(tile, (r0, r1), (c0, c1))
        # Nearest neighbour: the middle of each pixel, in the source's pixels
        ys = ((np.arange(r0, r1) + 0.5) * per_row).astype(np.intp) - origin[0]
        xs = ((np.arange(c0, c1) + 0.5) * per_column).astype(np.intp) - origin[1]
        np.clip(ys, 0, len(source) - 1, out=ys)
        np.clip(xs, 0, source.shape[1] - 1, out=xs)
        out[r0 - rows[0] : r1 - rows[0], c0 - columns[0] : c1 - columns[0]] = (
            source.take(xs, axis=1).take(ys, axis=0)
            if len(source) * len(xs) < len(ys) * source.shape[1]
            else source.take(ys, axis=0).take(xs, axis=1)
        )

    def _coarser(
        self, tile: Tile, rows: tuple[int, int], columns: tuple[int, int]
    ) -> tuple[Pixels, float, float, tuple[int, int]]:
        """Pixels at hand that hold a region of a level, their scale, and their origin.

        Returns
        -------
        source : uint8 array
        per_row, per_column : float
            Its pixels per pixel of the region's level.
        origin : (int, int)
            Row and column of its first pixel.
        """
        here = self.levels[tile.level]
        for number in range(tile.level + 1, len(self.levels)):
            there = self.levels[number]
            ratio = here.downsample / there.downsample
            first = (int((rows[0] + 0.5) * ratio) // TILE, int((columns[0] + 0.5) * ratio) // TILE)
            last = (int((rows[1] - 0.5) * ratio) // TILE, int((columns[1] - 0.5) * ratio) // TILE)
            if first != last:
                continue  # lies on several tiles: the next coarser level has it in one
            found = self.store.get(Tile(tile.source, number, *first))
            if found is not None:
                return found, ratio, ratio, (first[0] * TILE, first[1] * TILE)
        height, width = self.overview.shape[:2]
        return self.overview, height / here.height, width / here.width, (0, 0)

    def close(self) -> None:
        """Forget the tiles and give the file back."""
        self.reader.closed = True
        self.store.drop(self.reader.number)
        self.slide.close()


class LevelArray:
    """One level, as the array that napari takes: rows, columns, RGB.

    napari's own views index with slices of step 1 and never wait (see the module's text);
    any other indexing waits for the pixels.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, pixels: SlidePixels, level: int) -> None:
        self._pixels = pixels
        self._level = level
        shown = pixels.levels[level]
        self.shape = (shown.height, shown.width, 3)
        self.chunks = (min(TILE, shown.height), min(TILE, shown.width), 3)

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1] * 3

    @property
    def nbytes(self) -> int:
        """Bytes that the whole level would take."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        pixels = self._pixels.exact(self._level, (0, self.shape[0]), (0, self.shape[1]))
        return pixels if dtype is None else pixels.astype(dtype)

    def __getitem__(self, key: Any) -> Pixels:
        keys = key if isinstance(key, tuple) else (key,)
        if self._is_whole(keys) and self._level == len(self._pixels.levels) - 1:
            return self._whole_coarsest()
        if self._is_view(keys):
            rows, columns = (_span(k, n) for k, n in zip(keys[:2], self.shape, strict=False))
            found = self._pixels.at_hand(self._level, rows, columns)
            return found[(slice(None), slice(None), *keys[2:])]
        return self._waiting(keys)

    def _is_whole(self, keys: tuple[Any, ...]) -> bool:
        return all(isinstance(k, slice) and k == slice(None) for k in keys)

    def _is_view(self, keys: tuple[Any, ...]) -> bool:
        return len(keys) >= 2 and all(isinstance(k, slice) and k.step == 1 for k in keys[:2])

    def _whole_coarsest(self) -> Pixels:
        """The thumbnail for napari: from the picture that was made when the slide was opened."""
        overview = self._pixels.overview
        if overview.shape == self.shape:
            return overview
        return self._pixels.at_hand(self._level, (0, self.shape[0]), (0, self.shape[1]))

    def _waiting(self, keys: tuple[Any, ...]) -> Pixels:
        """Any NumPy index, of the smallest box of pixels that holds it."""
        if any(
            k is None or k is Ellipsis or np.ndim(k) > 0 for k in keys if not isinstance(k, slice)
        ):
            everything: Pixels = np.asarray(self)
            return everything[keys]
        spans: list[tuple[int, int]] = []
        rest: list[slice | int] = []
        for k, n in zip((*keys, *(slice(None),) * (2 - len(keys)))[:2], self.shape, strict=False):
            if isinstance(k, slice):
                start, stop, step = k.indices(n)
                low, high = (start, stop) if step > 0 else (stop + 1, start + 1)
                spans.append((low, max(low, high)))
                rest.append(slice(None, None, step))
            else:
                at = int(k) + (n if int(k) < 0 else 0)
                if not 0 <= at < n:
                    raise IndexError(f"{k} is outside of a level of {self.shape}")
                spans.append((at, at + 1))
                rest.append(0)
        return self._pixels.exact(self._level, *spans)[(*rest, *keys[2:])]


def _span(part: slice, length: int) -> tuple[int, int]:
    start, stop, _ = part.indices(length)
    return start, max(start, stop)
