"""Slides whose tiles lie in files at known places: read the bytes, decode, cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ReadFailedError
from pathsearch.slides.file_bytes import FileBytes
from pathsearch.slides.pyramid import SlideFacts
from pathsearch.slides.resample import Pixels
from pathsearch.slides.tiff_decode import Decoder, decode_or_fail
from pathsearch.slides.tiles import TiledSlide, TileGrid, TileKey, averaged_tile


@dataclass(frozen=True)
class StoredTiles:
    """Where the tiles of a level lie, and what decodes them.

    Attributes
    ----------
    grid : TileGrid
    offsets, counts : int64 arrays, shape (planes, rows * columns)
        Where each tile's bytes start, and how many there are; 0: nothing stored.
    decoder : Decoder
    """

    grid: TileGrid
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    decoder: Decoder


class StoredTilesSlide(TiledSlide):
    """A slide whose tiles are read and decoded directly.

    Parameters
    ----------
    facts : SlideFacts
    levels : sequence of StoredTiles
        Finest first, as in `facts`.
    files : sequence of FileBytes
        The file of each level; closed with the slide.
    """

    def __init__(
        self, facts: SlideFacts, levels: Sequence[StoredTiles], files: Sequence[FileBytes]
    ) -> None:
        super().__init__(facts, [level.grid for level in levels])
        self._tables = tuple(levels)
        self._files = tuple(files)

    def stored_tiles(self, level: int) -> npt.NDArray[np.int64]:
        """Bytes of each tile of a level, 0 where nothing is stored; in reading order."""
        counts: npt.NDArray[np.int64] = self._tables[level].counts.min(axis=0)
        return counts

    def decode_tile(self, key: TileKey) -> Pixels | None:
        """The pixels of one tile, averaged by the key's factor; None where none are stored.

        Raises
        ------
        ReadFailedError
        """
        grid = self._grids[key.level]
        number = key.row * grid.columns + key.column
        parts = self._bytes_of(key.level, number)
        if parts is None:
            return None
        decoder = self._tables[key.level].decoder
        inside = grid.inside(key.column, key.row)
        factor = key.factor
        if factor == 1 or not (inside[0] % factor or inside[1] % factor):
            pixels = decode_or_fail(decoder, parts, number, factor, self.path)
            if pixels is not None:
                return self._large_enough(pixels, inside, factor)
        pixels = decode_or_fail(decoder, parts, number, 1, self.path)
        assert pixels is not None
        pixels = self._large_enough(pixels, inside, 1)
        return averaged_tile(pixels, grid, inside, factor)

    def _bytes_of(self, level: int, number: int) -> list[bytes] | None:
        """A tile's bytes, one entry a plane; None where nothing is stored."""
        table = self._tables[level]
        parts = []
        for plane in range(len(table.offsets)):
            offset, count = table.offsets.item(plane, number), table.counts.item(plane, number)
            if not offset or not count:
                return None
            parts.append(self._files[level].read(offset, count))
        return parts

    def _large_enough(self, pixels: Pixels, inside: tuple[int, int], factor: int) -> Pixels:
        w, h = -(-inside[0] // factor), -(-inside[1] // factor)
        if pixels.shape[0] < h or pixels.shape[1] < w:
            raise ReadFailedError(
                f"{self.path}: a tile holds {pixels.shape[1]} x {pixels.shape[0]} pixels "
                f"instead of {w} x {h}.",
                path=self.path,
            )
        return pixels

    def close(self) -> None:
        """Give the file back. Reading afterwards raises ValueError."""
        super().close()
        for file in self._files:
            file.close()
