"""Files made of another slide's JPEG tiles, copied as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_RGB = 2


def level_alone(source: Path, target: Path, level: int = 0) -> Path:
    """One level of a JPEG pyramid as a file of its own."""
    import tifffile

    with tifffile.TiffFile(source) as tiff:
        page: Any = tiff.series[0].levels[level].pages[0]
        _write(target, _tiles(tiff, page), page.shape[0], page.shape[1], page)
    return target


def side_by_side(source: Path, target: Path, times: int) -> Path:
    """The whole tiles of a slide's finest level, laid side by side so many times each way.

    A slide of a few patches says little about speed: starting threads takes longer than they do.
    """
    import tifffile

    with tifffile.TiffFile(source) as tiff:
        page: Any = tiff.series[0].levels[0].pages[0]
        height, width = page.shape[0] // page.tile[0], page.shape[1] // page.tile[1]
        across = -(-page.shape[1] // page.tile[1])
        stored = list(_tiles(tiff, page))
        tiles = [stored[row * across + column] for row in range(height) for column in range(width)]
        order = (
            tiles[row % height * width + column % width]
            for row in range(height * times)
            for column in range(width * times)
        )
        size = (height * times * page.tile[0], width * times * page.tile[1])
        _write(target, order, *size, page)
    return target


def _tiles(tiff: Any, page: Any) -> Iterator[bytes]:
    """The tiles as complete JPEG files, in reading order."""
    from pathsearch.slides.tiff_decode import tile_frame

    frame = tile_frame(page.jpegtables, page.photometric == _RGB)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        data: bytes = tiff.filehandle.read(count)
        yield data if frame is None else frame.head + data[frame.skip :] + frame.tail


def _write(target: Path, tiles: Iterator[bytes], height: int, width: int, page: Any) -> None:
    import tifffile

    tifffile.imwrite(
        target, tiles, shape=(height, width, 3), dtype=np.uint8, tile=page.tile,
        photometric=page.photometric, subsampling=page.subsampling, compression="jpeg",
        # Without it the tag says YCbCr, whatever the tiles are.
        compressionargs={"outcolorspace": page.photometric}, metadata=None, bigtiff=True,
    )  # fmt: skip
