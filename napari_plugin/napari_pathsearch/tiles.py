"""Tiles of open slides, kept in memory, and the threads that read them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathsearch.nouns import Slide

log = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
#: Side of a tile, pixels of its level.
TILE = 512
#: Bytes of tiles that are kept; a 4K screen at the worst zoom shows about 100 MB.
CACHE_BYTES = 400 << 20
#: Threads that read what is in view.
THREADS = 2
#: The colours of the stripes where pixels could not be read: never black, never tissue.
_STRIPES = ((214, 214, 214), (176, 176, 176))


@dataclass(frozen=True, slots=True)
class Tile:
    """Which tile: of an open slide (`source`), a level, a row and a column of tiles."""

    source: int
    level: int
    row: int
    column: int


class TileStore:
    """Keeps tiles of all open slides, the latest used ones; read by threads of its own.

    Safe to use from several threads. Two that want the same tile read it once.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._tiles: OrderedDict[Tile, Pixels] = OrderedDict()
        self._bytes = 0
        self._reading: dict[Tile, threading.Event] = {}
        self._wanted: OrderedDict[int, tuple[Reader, list[Tile]]] = OrderedDict()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def get(self, tile: Tile) -> Pixels | None:
        """The tile's pixels, if they are here."""
        with self._changed:
            found = self._tiles.get(tile)
            if found is not None:
                self._tiles.move_to_end(tile)
            return found

    def read(self, reader: Reader, tile: Tile) -> Pixels:
        """The tile's pixels, read now, in the calling thread, if they are not here."""
        while True:
            with self._changed:
                found = self._tiles.get(tile)
                if found is not None:
                    self._tiles.move_to_end(tile)
                    return found
                other = self._reading.get(tile)
                if other is None:
                    mine = self._reading[tile] = threading.Event()
                    break
            other.wait()
        try:
            pixels = reader.read_tile(tile)
            if not reader.closed:
                self._keep(tile, pixels)
        finally:
            with self._changed:
                del self._reading[tile]
            mine.set()
        return pixels

    def want(self, reader: Reader, tiles: Iterable[Tile]) -> None:
        """Read these soon, in this order, instead of what was wanted of that slide before."""
        with self._changed:
            if self._closed:
                return
            self._wanted[reader.number] = (reader, list(tiles))
            self._wanted.move_to_end(reader.number)
            self._start_threads()
            self._changed.notify_all()

    def drop(self, number: int) -> None:
        """Forget a slide's tiles."""
        with self._changed:
            self._wanted.pop(number, None)
            for tile in [tile for tile in self._tiles if tile.source == number]:
                self._bytes -= self._tiles.pop(tile).nbytes

    def close(self) -> None:
        """Read nothing any more; what is being read ends by itself."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._tiles.clear()
            self._bytes = 0
            self._changed.notify_all()

    def _keep(self, tile: Tile, pixels: Pixels) -> None:
        with self._changed:
            if self._closed:
                return
            self._tiles[tile] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self._limit and len(self._tiles) > 1:
                _, old = self._tiles.popitem(last=False)
                self._bytes -= old.nbytes

    def _start_threads(self) -> None:
        while len(self._threads) < THREADS:
            name = f"pathsearch-tiles-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                following = self._next()
                while following is None:
                    if self._closed:
                        return
                    self._changed.wait()
                    following = self._next()
            reader, tile = following
            try:
                self.read(reader, tile)
            except Exception:  # read_tile answers for faults of the slide; this is ours
                log.exception("a tile could not be read")
            if not reader.closed:
                reader.on_loaded()

    def _next(self) -> tuple[Reader, Tile] | None:
        """What to read next: of the slide that was looked at last."""
        if self._closed:
            return None
        for number in reversed(self._wanted):
            reader, tiles = self._wanted[number]
            while tiles:
                tile = tiles.pop(0)
                if tile not in self._tiles and tile not in self._reading:
                    return reader, tile
        return None


class Reader:
    """Reads the tiles of one open slide.

    Parameters
    ----------
    slide : Slide
    sizes : sequence of (width, height, downsample)
        Of the levels that are shown.
    on_fault : callable
        Told, once, of the first tile that cannot be read; from any thread.
    """

    _count = 0

    def __init__(
        self,
        slide: Slide,
        sizes: tuple[tuple[int, int, float], ...],
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        Reader._count += 1
        self.number = Reader._count
        self._slide = slide
        self._sizes = sizes
        self._on_fault = on_fault
        self._told = False
        #: No tile is read any more; those being read are thrown away.
        self.closed = False
        #: Called after each tile that was wanted is here; from any thread.
        self.on_loaded: Callable[[], None] = lambda: None

    def read_tile(self, tile: Tile) -> Pixels:
        """Pixels of a tile, cut at the level's edge; stripes where they cannot be read."""
        width, height, downsample = self._sizes[tile.level]
        left, top = tile.column * TILE, tile.row * TILE
        w, h = min(TILE, width - left), min(TILE, height - top)
        slide = self._slide
        try:
            x, y = left * downsample, top * downsample
            return slide.read(x, y, w, h, slide.mpp * downsample)
        except Exception as error:  # noqa: BLE001  whatever a reader raises: this tile is striped
            if self._on_fault is not None and not (self._told or self.closed):
                self._told = True
                self._on_fault(error)
            return stripes(w, h)


def stripes(width: int, height: int) -> Pixels:
    """What is shown where pixels cannot be read."""
    rows, columns = np.ogrid[:height, :width]
    pattern = ((rows + columns) // 24) % 2
    painted: Pixels = np.asarray(_STRIPES, np.uint8)[pattern]
    return painted
