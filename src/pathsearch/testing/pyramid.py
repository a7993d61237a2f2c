"""Write a tiled pyramid of any size, a row of tiles at a time.

The finest level is drawn; each further one is the exact area mean of the one before,
made while that one goes by. Its tiles wait, compressed, in a temporary file, because a
TIFF holds its levels one after the other.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Draw = Callable[[int, int, int, int], Pixels]

Compression = Literal["jpeg", "deflate", "none"]
Subsampling = Literal["420", "422", "444"]
Vendor = Literal["generic", "aperio"]

#: Sizes beyond this need BigTIFF: half of what 32-bit offsets reach.
CLASSIC_PIXELS = 2**31


@dataclass(frozen=True, slots=True)
class TiffOptions:
    """How a made-up slide is stored.

    Attributes
    ----------
    tile : int
        Side of a tile, a multiple of 16.
    compression : {'jpeg', 'deflate', 'none'}
    quality : int
        Of JPEG, 1 to 100.
    subsampling : {'420', '422', '444'}
        Of JPEG's colours.
    vendor : {'generic', 'aperio'}
        Whose TIFF it resembles.
    private_images : bool
        Add a label and a macro image (Aperio only).
    stated_mpp : float or None
        The resolution that the file states; None states none.

    Raises
    ------
    ValueError
        A value that TIFF has not.
    """

    tile: int = 256
    compression: Compression = "jpeg"
    quality: int = 85
    subsampling: Subsampling = "420"
    vendor: Vendor = "generic"
    private_images: bool = False
    stated_mpp: float | None = 0.5

    def __post_init__(self) -> None:
        if self.tile < 16 or self.tile % 16:
            raise ValueError(f"a TIFF tile's side is a multiple of 16, not {self.tile}")
        for value, kind in (
            (self.compression, Compression),
            (self.subsampling, Subsampling),
            (self.vendor, Vendor),
        ):
            if value not in get_args(kind):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(kind))}")


def write_pyramid(
    path: Path,
    draw: Draw,
    size: tuple[int, int],
    downsamples: tuple[float, ...],
    options: TiffOptions,
    threads: int,
) -> None:
    """Write a TIFF whose finest level is what `draw` gives.

    Parameters
    ----------
    path : Path
    draw : callable
        ``draw(x, y, w, h)`` gives uint8 (h, w, 3). Called from several threads.
    size : tuple of int
        Width and height of the finest level.
    downsamples : tuple of float
        Of all levels, from 1 on, rising; need not be whole.
    options : TiffOptions
    threads : int
    """
    import tifffile

    sizes = [size]
    for finer, coarser in pairwise(downsamples):
        # Level by level, as they are made: each pixel has all of its source pixels.
        ratio = coarser / finer
        sizes.append((whole_spans(sizes[-1][0], ratio), whole_spans(sizes[-1][1], ratio)))
        if 0 in sizes[-1]:
            raise ValueError(f"a level shrunk {coarser:g} times would have no pixels")
    with ExitStack() as stack:
        levels: list[_Level] = []
        for k in range(len(sizes) - 1, 0, -1):
            spool = stack.enter_context(tempfile.TemporaryFile())
            ratio = downsamples[k] / downsamples[k - 1]
            levels.insert(0, _Level(sizes[k], ratio, options, spool, levels[:1]))
        pool = stack.enter_context(ThreadPoolExecutor(max(1, threads)))
        big = size[0] * size[1] > CLASSIC_PIXELS
        with tifffile.TiffWriter(path, bigtiff=big) as tiff:
            tiles = _finest(draw, size, options, pool, levels[:1])
            _write_level(tiff, tiles, sizes[0], 0, options, downsamples)
            for k, level in enumerate(levels, start=1):
                # Not where the finer level's tiles end: the writer never asks beyond the last.
                level.finish()
                _write_level(tiff, level.tiles(), sizes[k], k, options, downsamples)
            if options.private_images:
                _write_private_images(tiff)


def _finest(
    draw: Draw,
    size: tuple[int, int],
    options: TiffOptions,
    pool: ThreadPoolExecutor,
    coarser: list[_Level],
) -> Iterator[bytes]:
    """The finest level's tiles; what is drawn feeds the level after it."""
    side = options.tile

    def made(place: tuple[int, int]) -> tuple[Pixels, bytes]:
        drawn = draw(*place, side, side)
        return drawn, _compressed(drawn, options)

    for y in range(0, size[1], side):
        row = list(pool.map(made, [(x, y) for x in range(0, size[0], side)]))
        if coarser:
            band = np.concatenate([pixels for pixels, _ in row], axis=1)
            coarser[0].feed(band[: size[1] - y, : size[0]])
        yield from (data for _, data in row)


class _Level:
    """A level that is made from the rows of the finer one as they come."""

    def __init__(
        self,
        size: tuple[int, int],
        ratio: float,
        options: TiffOptions,
        spool: IO[bytes],
        coarser: list[_Level],
    ) -> None:
        self._size = size
        self._ratio = ratio
        self._options = options
        self._spool = spool
        self._coarser = coarser
        self._lengths: list[int] = []
        self._waiting: Pixels = np.zeros((0, 0, 3), np.uint8)
        self._first = 0  # row of the finer level that `_waiting` begins with
        self._made = 0  # rows of this level that are made
        self._rows: list[Pixels] = []

    def feed(self, band: Pixels) -> None:
        """Take the next rows of the finer level."""
        waiting = np.concatenate([self._waiting, band]) if self._waiting.size else band
        ready = whole_spans(self._first + len(waiting), self._ratio)
        if ready > self._made:
            start = self._made * self._ratio - self._first
            rows = shrink(waiting, start, ready - self._made, self._ratio)
            self._take(shrink(rows.swapaxes(0, 1), 0.0, self._size[0], self._ratio).swapaxes(0, 1))
            self._made = ready
        done = min(len(waiting), max(0, int(self._made * self._ratio) - self._first))
        self._waiting = waiting[done:].copy()
        self._first += done

    def finish(self) -> None:
        """No more rows come: write what is left."""
        if self._rows:
            self._write(np.concatenate(self._rows))
            self._rows = []

    def tiles(self) -> Iterator[bytes]:
        """The compressed tiles, in order."""
        self._spool.seek(0)
        for length in self._lengths:
            yield self._spool.read(length)

    def _take(self, rows: Pixels) -> None:
        if self._coarser:
            self._coarser[0].feed(rows)
        self._rows.append(rows)
        side = self._options.tile
        if sum(map(len, self._rows)) >= side:
            ready = np.concatenate(self._rows)
            whole = len(ready) // side * side
            self._write(ready[:whole])
            self._rows = [ready[whole:]] if whole < len(ready) else []

    def _write(self, rows: Pixels) -> None:
        side = self._options.tile
        for y in range(0, len(rows), side):
            for x in range(0, self._size[0], side):
                part = rows[y : y + side, x : x + side]
                # Tiles that stick out repeat their last pixels, as scanners' do.
                pad = ((0, side - part.shape[0]), (0, side - part.shape[1]), (0, 0))
                data = _compressed(np.pad(part, pad, mode="edge"), self._options)
                self._spool.write(data)
                self._lengths.append(len(data))


def whole_spans(length: int, ratio: float) -> int:
    """How many spans of `ratio` lie wholly in a length."""
    return int(length / ratio + 1e-9)


def shrink(rows: Pixels, start: float, count: int, ratio: float) -> Pixels:
    """Means over spans of rows, by exact area.

    Parameters
    ----------
    rows : uint8 array, shape (n, m, 3)
    start : float
        Where the first span begins; it may lie between rows.
    count : int
        Spans.
    ratio : float
        Rows a span.

    Returns
    -------
    uint8 array, shape (count, m, 3)
    """
    whole = round(ratio)
    if abs(ratio - whole) < 1e-9 and abs(start - round(start)) < 1e-9:
        first = round(start)
        cut = rows[first : first + count * whole]
        sums = cut.reshape(count, whole, *rows.shape[1:]).sum(axis=1, dtype=np.uint32)
        return _rounded(sums / whole)
    total = np.zeros((len(rows) + 1, *rows.shape[1:]), np.float64)
    np.cumsum(rows, axis=0, out=total[1:])
    edges = np.clip(start + np.arange(count + 1) * ratio, 0, len(rows))
    low = np.minimum(edges.astype(np.intp), len(rows) - 1)
    part = (edges - low)[:, None, None]
    at = total[low] * (1 - part) + total[low + 1] * part
    return _rounded(np.diff(at, axis=0) / ratio)


def _rounded(values: npt.NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.rint(values).astype(np.uint8)
    return pixels


def _compressed(pixels: Pixels, options: TiffOptions) -> bytes:
    pixels = np.ascontiguousarray(pixels)
    if options.compression == "none":
        return pixels.tobytes()
    if options.compression == "deflate":
        return zlib.compress(pixels.tobytes(), 4)
    import simplejpeg

    data: bytes = simplejpeg.encode_jpeg(
        pixels, quality=options.quality, colorsubsampling=options.subsampling, fastdct=True
    )
    return data


def _write_level(
    tiff: Any,
    tiles: Iterator[bytes],
    size: tuple[int, int],
    number: int,
    options: TiffOptions,
    downsamples: tuple[float, ...],
) -> None:
    """One directory of the TIFF."""
    width, height = size
    side = options.tile
    how: dict[str, Any] = {"compression": None, "photometric": "rgb"}
    if options.compression == "deflate":
        how["compression"] = "adobe_deflate"
    elif options.compression == "jpeg":
        horizontal, vertical = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[options.subsampling]
        how = {
            "compression": "jpeg",
            "photometric": "ycbcr",
            "subsampling": (horizontal, vertical),
        }
    mpp = options.stated_mpp
    if mpp is not None and options.vendor == "generic":
        per_cm = 1e4 / (mpp * downsamples[number])
        how |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    if options.vendor == "aperio":
        how["description"] = _aperio_description(size, number, options)
    reduced = number > 0 and options.vendor == "generic"
    tiff.write(
        tiles,
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(side, side),
        metadata=None,
        subfiletype=int(reduced),
        software="",
        **how,
    )


def _aperio_description(size: tuple[int, int], number: int, options: TiffOptions) -> str:
    width, height = size
    text = (
        f"Aperio Image Library v12.0.15\r\n{width}x{height} [0,0 {width}x{height}] "
        f"({options.tile}x{options.tile}) JPEG/RGB Q={options.quality}"
    )
    if number == 0 and options.stated_mpp is not None:
        magnification = 10.0 / options.stated_mpp
        text += f"|AppMag = {magnification:g}|MPP = {options.stated_mpp:.6g}"
    return text


def _write_private_images(tiff: Any) -> None:
    """A label and a macro image, plain colours that are nowhere on the slide."""
    for name, colour in (("label", (255, 0, 255)), ("macro", (0, 255, 255))):
        pixels = np.full((96, 128, 3), colour, np.uint8)
        tiff.write(
            pixels,
            photometric="rgb",
            compression=None,
            rowsperstrip=96,
            subfiletype=1 if name == "label" else 9,
            metadata=None,
            software="",
            description=f"Aperio Image Library v12.0.15\r\n{name} 128x96",
        )
