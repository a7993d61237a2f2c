"""What every open slide shares: frames, levels, scaling, colour; a reader adds the pixels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.errors import SlideTooLargeError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.described import DescribedSlide, SlideHead
from pathsearch.slides.fingerprint import fingerprint_files
from pathsearch.slides.resample import (
    Extent,
    Pixels,
    average,
    fill_squares,
    margin,
    resample_within,
)
from pathsearch.slides.resolution import FACTORS, Resolution, choose_resolution

WHITE = (255, 255, 255)
#: Source pixels that one step of a read holds at most; larger reads go band by band.
_STEP_PIXELS = 1 << 24

ColorTransform = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class SlideFacts:
    """What a reader found out about a slide when it opened it.

    Attributes
    ----------
    path : str
        The file, as it was opened.
    files : tuple of Path
        All files whose content decides the pixels.
    size : (int, int)
        Width and height in level-0 pixels.
    mpp : float
        µm per level-0 pixel.
    levels : tuple of Level
        Finest first.
    info : SlideInfo
    bounds : (int, int, int, int), optional
        x, y, width, height of the scanned part, level-0 pixels; the whole slide by default.
    background : (int, int, int)
        RGB of what was not scanned.
    to_srgb : callable, optional
        Applied to every array that is handed out.
    """

    path: str
    files: tuple[Path, ...]
    size: tuple[int, int]
    mpp: float
    levels: tuple[Level, ...]
    info: SlideInfo
    bounds: tuple[int, int, int, int] | None = None
    background: tuple[int, int, int] = WHITE
    to_srgb: ColorTransform | None = field(default=None, compare=False)

    @property
    def head(self) -> SlideHead:
        """What is told of the slide to those that only use it."""
        bounds = self.bounds or (0, 0, *self.size)
        return SlideHead(self.path, self.size, self.mpp, bounds, self.levels, self.info)


def check_size(width: int, height: int, max_pixels: int, path: str) -> None:
    """Refuse a declared size before any memory is taken for it.

    Raises
    ------
    SlideTooLargeError
    """
    if width * height > max_pixels:
        raise SlideTooLargeError(
            f"{path}: claims to be {width:,} x {height:,} pixels, more than the "
            f"{max_pixels:,} that are accepted; raise 'max_pixels' if that is true.",
            path=path,
            width=width,
            height=height,
        )


class PyramidSlide(DescribedSlide):
    """A slide of one or more levels. Subclasses implement `_stored`.

    The arithmetic of frames and scales is here, once, so that all readers place the same
    pixels at the same spot.

    Attributes
    ----------
    on_step : callable or None
        Called after each part of a large read, as a sign of life.
    """

    def __init__(self, facts: SlideFacts) -> None:
        super().__init__(facts.head)
        self._facts = facts
        self.on_step: Callable[[], None] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the content that decides the pixels; not of the file's name."""
        return fingerprint_files(self._facts.files)

    def resolution(self, mpp: float) -> Resolution:
        """How pixels at `mpp` (µm per pixel) are made of the stored levels.

        Raises
        ------
        ResolutionTooCoarseError
        """
        return choose_resolution(self.levels, mpp, self.mpp, factors=FACTORS, path=self.path)

    def read(self, x: float, y: float, w: int, h: int, mpp: float) -> npt.NDArray[np.uint8]:
        """Pixels of a region at a resolution.

        Parameters
        ----------
        x, y : float
            Top-left corner in level-0 pixels; may lie outside the slide.
        w, h : int
            Size of the answer in pixels at `mpp`.
        mpp : float
            µm per pixel of the answer.

        Returns
        -------
        uint8 array, shape (h, w, 3), RGB
            Where there is no slide, the background colour.

        Raises
        ------
        ResolutionTooCoarseError, ReadFailedError
        ValueError
            The slide is closed, or the region is empty.
        """
        self.check_open()
        if w < 1 or h < 1:
            raise ValueError(f"the region must not be empty, got {w} x {h}")
        how = self.resolution(mpp)
        source_rows = max(1, int(_STEP_PIXELS / max(1.0, w * how.scale * how.factor)))
        rows = max(1, int(source_rows / (how.scale * how.factor)))
        if rows >= h:
            return self.finished(self._rendered(how, (x, y), (w, h), 0))
        out = np.empty((h, w, 3), np.uint8)
        for top in range(0, h, rows):
            part = self._rendered(how, (x, y), (w, min(rows, h - top)), top)
            out[top : top + rows] = self.finished(part)
            if self.on_step is not None:
                self.on_step()
        return out

    def _rendered(
        self, how: Resolution, corner: tuple[float, float], size: tuple[int, int], top: int
    ) -> Pixels:
        start = np.array([[corner[0] / how.pixel, corner[1] / how.pixel + top * how.scale]])
        boxes, insets = source_boxes(how, start, size)
        x, y, w, h = (int(value) for value in boxes[0])
        pixels = self.averaged(how.level, how.factor, x, y, w, h)
        if how.scale == 1.0:
            return pixels
        return self.resampled(pixels, how, (x, y), (float(insets[0, 0]), float(insets[0, 1])), size)

    def resampled(
        self,
        pixels: Pixels,
        how: Resolution,
        corner: tuple[int, int],
        inset: tuple[float, float],
        size: tuple[int, int],
    ) -> Pixels:
        """A box of averaged pixels at the resolution of the answer.

        Parameters
        ----------
        pixels : uint8 array, shape (h, w, 3)
            Of `averaged`, in the box that `source_boxes` gives; changed where it lies outside.
        how : Resolution
        corner : (int, int)
            x, y of the array in averaged pixels of the level.
        inset : (float, float)
            Where the answer begins in the array.
        size : (int, int)
            Width and height of the answer.
        """
        level, f = self.levels[how.level], how.factor
        extent = Extent(*corner, level.width / f, level.height / f, self._facts.background)
        return resample_within(pixels, extent, inset, size, how.scale)

    def averaged(self, level: int, factor: int, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of a level, averaged over squares of `factor` x `factor` of them.

        Parameters
        ----------
        level, factor : int
        x, y, w, h : int
            In averaged pixels of the level; may reach outside (background). A square that
            reaches over the edge is the mean of its part inside.

        Returns
        -------
        uint8 array, shape (h, w, 3)
        """
        f = factor
        pixels = self._stored(level, x * f, y * f, w * f, h * f)
        here = self.levels[level]
        fill_squares(pixels, (here.width - x * f, here.height - y * f), f)
        return average(pixels, f)

    @abstractmethod
    def _stored(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of a level as stored; x, y, w, h in that level's pixels.

        Outside the level, and where nothing is stored, the background colour.

        Raises
        ------
        ReadFailedError
        """

    @property
    def converts(self) -> bool:
        """Whether `finished` changes colours."""
        return self._facts.to_srgb is not None

    @property
    def background(self) -> tuple[int, int, int]:
        """RGB of what was not scanned."""
        return self._facts.background

    def finished(self, pixels: Pixels) -> Pixels:
        """The pixels in the colours that were asked for when the slide was opened."""
        to_srgb = self._facts.to_srgb
        return pixels if to_srgb is None else to_srgb(pixels)


def source_boxes(
    how: Resolution, corners: npt.NDArray[np.float64], size: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where the pixels of regions lie in the chosen level.

    Without resampling a corner is rounded to the nearest averaged pixel (halves up); with
    it, the exact corner is kept and the filter's margin is added.

    Parameters
    ----------
    how : Resolution
    corners : float64 array, shape (n, 2)
        x, y in averaged pixels of the level.
    size : (int, int)
        Width and height of each answer.

    Returns
    -------
    boxes : int64 array, shape (n, 4)
        x, y, width, height in averaged pixels.
    insets : float64 array, shape (n, 2)
        Where the regions' corners lie inside their boxes.
    """
    if how.scale == 1.0:
        upper_left = np.floor(corners + 0.5)
        extent = np.broadcast_to(np.asarray(size, np.float64), corners.shape)
        return np.hstack([upper_left, extent]).astype(np.int64), np.zeros_like(corners)
    around = margin(how.scale)
    upper_left = np.floor(corners) - around
    lower_right = np.ceil(corners + np.asarray(size) * how.scale) + around
    boxes = np.hstack([upper_left, lower_right - upper_left]).astype(np.int64)
    return boxes, corners - upper_left
