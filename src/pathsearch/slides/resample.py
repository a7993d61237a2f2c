"""Shrinking and enlarging pixel arrays without shifting them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
#: Share of an output pixel that is a rounding error, and no part of a slide.
_SLIVER = 1e-6


def average(pixels: Pixels, factor: int) -> Pixels:
    """Mean over squares of `factor` x `factor` pixels, rounded.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
        `h` and `w` divisible by `factor`.
    factor : int

    Returns
    -------
    uint8 array, shape (h / factor, w / factor, 3)
    """
    if factor == 1:
        return pixels
    from PIL import Image

    return np.array(Image.fromarray(pixels).reduce(factor))


def margin(scale: float) -> int:
    """Source pixels around a box that the filter of `resample` looks at."""
    return math.ceil(scale) + 1 if scale > 1 else 4


def resample(
    pixels: Pixels, origin: tuple[float, float], size: tuple[int, int], scale: float
) -> Pixels:
    """A box of an array at another resolution.

    Shrinking uses the Hamming window of Pillow, as wide as two output pixels. Against an
    exact area average, over real H&E at scales from 1.05 to 3.7, its mean absolute
    difference was 0.6 to 1.2 levels of 255; Pillow's box filter, which gives a source pixel
    wholly to one output pixel, was 2.1 to 4.4 off. Enlarging uses Lanczos.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
        With `margin(scale)` pixels around the box, so that the edges see their neighbours.
    origin : (float, float)
        x, y of the box in `pixels`; need not be whole.
    size : (int, int)
        Width and height of the answer.
    scale : float
        Source pixels per output pixel.

    Returns
    -------
    uint8 array, shape (size[1], size[0], 3)
    """
    from PIL import Image

    x, y = origin
    kind = Image.Resampling.HAMMING if scale > 1 else Image.Resampling.LANCZOS
    box = (
        max(0.0, x),
        max(0.0, y),
        min(float(pixels.shape[1]), x + size[0] * scale),
        min(float(pixels.shape[0]), y + size[1] * scale),
    )
    return np.array(Image.fromarray(pixels).resize(size, kind, box=box))


@dataclass(frozen=True, slots=True)
class Extent:
    """What of an array of pixels lies within its level.

    Attributes
    ----------
    x, y : int
        Corner of the array in the level; both in averaged pixels, fractions at the level's
        far edges included.
    width, height : float
        Of the level.
    background : (int, int, int)
        RGB of what lies outside.
    """

    x: int
    y: int
    width: float
    height: float
    background: tuple[int, int, int]

    def holds(self, pixels: Pixels) -> bool:
        """Whether the whole array lies within the level."""
        h, w = pixels.shape[:2]
        inside = self.x >= 0 and self.y >= 0
        return inside and self.x + w <= self.width and self.y + h <= self.height


def resample_within(
    pixels: Pixels, extent: Extent, origin: tuple[float, float], size: tuple[int, int], scale: float
) -> Pixels:
    """`resample`, in which what lies outside of the level has no part in what lies inside.

    The level's last pixels are repeated under the filter, so that the answer's pixels at its
    edge are made of the slide alone. Those that lie wholly outside are background.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
        Changed where it lies outside.
    extent : Extent
    origin, size, scale
        As for `resample`.

    Returns
    -------
    uint8 array, shape (size[1], size[0], 3)
    """
    if extent.holds(pixels):
        return resample(pixels, origin, size, scale)
    columns = _inside(extent.x + origin[0], extent.width, size[0], scale)
    rows = _inside(extent.y + origin[1], extent.height, size[1], scale)
    out = np.empty((size[1], size[0], 3), np.uint8)
    out[:] = extent.background
    if columns.start < columns.stop and rows.start < rows.stop:
        repeat_edges(pixels, (extent.x, extent.y), (extent.width, extent.height))
        out[rows, columns] = resample(pixels, origin, size, scale)[rows, columns]
    return out


def _inside(start: float, length: float, count: int, scale: float) -> slice:
    """Which of `count` pixels from `start` lie at least partly within 0..length."""
    first = math.floor(-start / scale + _SLIVER)
    stop = math.ceil((length - start) / scale - _SLIVER)
    return slice(max(0, first), max(0, min(count, stop)))


def repeat_edges(pixels: Pixels, corner: tuple[int, int], level: tuple[float, float]) -> None:
    """Overwrite what lies outside of a level with the nearest pixel inside, in place.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
        Touches the level.
    corner : (int, int)
        x, y of the array in the level.
    level : (float, float)
        Width and height of the level; a last pixel that lies partly inside counts.
    """
    h, w = pixels.shape[:2]
    left, top = max(0, -corner[0]), max(0, -corner[1])
    right = min(w, math.ceil(level[0]) - corner[0])
    bottom = min(h, math.ceil(level[1]) - corner[1])
    pixels[:, :left] = pixels[:, left : left + 1]
    pixels[:, right:] = pixels[:, right - 1 : right]
    pixels[:top] = pixels[top]
    pixels[bottom:] = pixels[bottom - 1]


def fill_squares(pixels: Pixels, inside: tuple[int, int], factor: int) -> None:
    """Give squares that lie partly outside their mean over the part inside, in place.

    Then `average` answers the mean of the pixels inside.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
        `h` and `w` divisible by `factor`.
    inside : (int, int)
        Columns and rows, from the first, that lie inside.
    factor : int
    """
    w, h = inside
    if 0 < w < pixels.shape[1] and w % factor:
        start = w - w % factor
        mean = pixels[:, start:w].mean(axis=1, keepdims=True)
        pixels[:, w : start + factor] = np.rint(mean).astype(np.uint8)
    if 0 < h < pixels.shape[0] and h % factor:
        start = h - h % factor
        mean = pixels[start:h].mean(axis=0, keepdims=True)
        pixels[h : start + factor] = np.rint(mean).astype(np.uint8)


def composite(rgba: Pixels, background: tuple[int, int, int]) -> Pixels:
    """Transparent pixels laid on a colour, so that missing ones are never black.

    Parameters
    ----------
    rgba : uint8 array, shape (h, w, 4)
        Straight (not premultiplied) alpha.
    background : (int, int, int)

    Returns
    -------
    uint8 array, shape (h, w, 3)
    """
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    clear = alpha != 255
    if not clear.any():
        return rgb
    share = alpha[clear].astype(np.float32)[:, None] / 255
    mixed = rgb[clear] * share + np.asarray(background, np.float32) * (1 - share)
    rgb[clear] = np.rint(mixed).astype(np.uint8)
    return rgb
