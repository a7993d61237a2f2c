"""A small picture of a whole slide, read block by block so that memory is bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ReadFailedError
from pathsearch.nouns import Slide

#: Most stored pixels that one read of an overview decodes: 48 MB as RGB.
BLOCK_SOURCE_PIXELS = 1 << 24
#: Blocks that cannot be read are halved down to this size, in pixels of the overview;
SMALLEST_BLOCK = 4
#: once so many have failed (a slide that is damaged all over), only down to this one.
PATIENCE, SMALLEST_LATER = 500, 16
#: Most pixels of an overview: beyond it the resolution gives way, not the memory.
MAX_OVERVIEW_PIXELS = 1 << 23


@dataclass(frozen=True, slots=True)
class Overview:
    """The scanned part of a slide at a coarse resolution.

    Attributes
    ----------
    pixels : uint8 array, shape (h, w, 3), RGB
        Pixel (row i, column j) covers level-0 x from ``x + j * scale`` to
        ``x + (j + 1) * scale``, and y likewise.
    mpp : float
        µm per pixel of the picture.
    scale : float
        Level-0 pixels per pixel of the picture.
    x, y : int
        Top-left corner, level-0 pixels: that of ``slide.bounds``.
    unreadable : bool array, shape (h, w)
        True where the slide's pixels could not be decoded; they are white.
    """

    pixels: npt.NDArray[np.uint8]
    mpp: float
    scale: float
    x: int
    y: int
    unreadable: npt.NDArray[np.bool_]

    @property
    def unreadable_share(self) -> float:
        """Share of the scanned part in blocks that could not be decoded, 0..1: at most so much."""
        return float(self.unreadable.mean())


def thumbnail(slide: Slide, max_px: int) -> tuple[npt.NDArray[np.uint8], float]:
    """A small picture of the scanned part of a slide (``slide.bounds``).

    Parameters
    ----------
    slide : Slide
    max_px : int
        Longest side of the picture; the slide is never enlarged to reach it.

    Returns
    -------
    uint8 array, shape (h, w, 3), RGB
    float
        Its resolution, µm per pixel.

    Raises
    ------
    ReadFailedError
        Nothing of the slide can be decoded. Single corrupt places are white instead.
    """
    _, _, width, height = slide.bounds
    mpp = slide.mpp * max(1.0, max(width, height) / max(1, max_px))
    seen = overview(slide, mpp)
    return seen.pixels, seen.mpp


def shrunk(seen: Overview, slide: Slide, max_px: int) -> npt.NDArray[np.uint8] | None:
    """What `thumbnail` answers, made of an overview that was read already.

    Each pixel is the mean of the area that it covers, of the scanned part alone.

    Parameters
    ----------
    seen : Overview
        Of `slide`.
    slide : Slide
    max_px : int
        Longest side of the picture.

    Returns
    -------
    uint8 array, shape (h, w, 3), RGB, or None
        None where the overview is too coarse for so large a picture.
    """
    from PIL import Image

    _, _, width, height = slide.bounds
    scale = max(1.0, max(width, height) / max(1, max_px))
    if scale < seen.scale:
        return None
    size = max(1, math.ceil(width / scale - 1e-6)), max(1, math.ceil(height / scale - 1e-6))
    inside = (0.0, 0.0, width / seen.scale, height / seen.scale)
    whole = Image.fromarray(seen.pixels)
    return np.asarray(whole.resize(size, Image.Resampling.BOX, box=inside))


def overview(slide: Slide, mpp: float) -> Overview:
    """The scanned part of a slide at about `mpp`, with what could not be read.

    Parameters
    ----------
    slide : Slide
    mpp : float
        Wanted resolution, µm per pixel. Never finer than the slide's own, and coarser
        where the picture would pass 8 million pixels.

    Raises
    ------
    ReadFailedError
        Nothing of the slide can be decoded.
    """
    x, y, width, height = slide.bounds
    mpp = max(mpp, slide.mpp, slide.mpp * math.sqrt(width * height / MAX_OVERVIEW_PIXELS))
    scale = mpp / slide.mpp
    # The tolerance keeps a rounding error of the division from adding a row of glass.
    w = max(1, math.ceil(width / scale - 1e-6))
    h = max(1, math.ceil(height / scale - 1e-6))
    pixels = np.full((h, w, 3), 255, np.uint8)
    unreadable = np.zeros((h, w), np.bool_)
    side = _block_side(slide, scale)
    last: ReadFailedError | None = None
    failures = 0
    blocks = [
        (top, left, min(side, h - top), min(side, w - left))
        for top in range(0, h, side)
        for left in range(0, w, side)
    ][::-1]
    while blocks:
        top, left, rows, columns = blocks.pop()
        part = np.s_[top : top + rows, left : left + columns]
        try:
            pixels[part] = slide.read(x + left * scale, y + top * scale, columns, rows, mpp)
        except ReadFailedError as error:
            last = error
            failures += 1
            smallest = SMALLEST_BLOCK if failures < PATIENCE else SMALLEST_LATER
            if max(rows, columns) <= smallest:
                unreadable[part] = True
            else:
                blocks.extend(_quarters(top, left, rows, columns))
    if last is not None and unreadable.all():
        raise last
    _repeat_edge(pixels, width / scale, height / scale)
    return Overview(pixels, mpp, scale, x, y, unreadable)


def _repeat_edge(pixels: npt.NDArray[np.uint8], width: float, height: float) -> None:
    """Give a last row and column that lie partly outside of the bounds their neighbours'.

    What lies outside is the reader's background, which on a dark slide is a bright line.
    """
    h, w = pixels.shape[:2]
    if w > 1 and width < w - 0.01:
        pixels[:, -1] = pixels[:, -2]
    if h > 1 and height < h - 0.01:
        pixels[-1] = pixels[-2]


def _block_side(slide: Slide, scale: float) -> int:
    """Side of a block, pixels of the overview, that keeps its source pixels bounded."""
    fine_enough = [level.downsample for level in slide.levels if level.downsample <= 1.02 * scale]
    shrink = scale / max(fine_enough, default=1.0)
    return max(64, int(math.sqrt(BLOCK_SOURCE_PIXELS) / max(1.0, shrink)))


def _quarters(top: int, left: int, rows: int, columns: int) -> list[tuple[int, int, int, int]]:
    """A block cut in (up to) four, so that a corrupt tile costs only its own place."""
    upper, fore = max(1, rows // 2), max(1, columns // 2)
    return [
        (t, c, r, n)
        for t, r in ((top, upper), (top + upper, rows - upper))
        for c, n in ((left, fore), (left + fore, columns - fore))
        if r and n
    ]
