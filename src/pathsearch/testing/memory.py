"""A slide that is an array: the plainest thing that fulfils the `Slide` protocol."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ReadFailedError, ResolutionTooCoarseError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.described import DescribedSlide, SlideHead

#: The slide is enlarged by no more than this (the design's resolution rule).
MAX_ENLARGEMENT = 1.5
#: Share of an output pixel that is a rounding error, and no part of the slide.
_SLIVER = 1e-6


class ArraySlide(DescribedSlide):
    """A slide in memory, read by exact area averaging; slow and plain, an oracle.

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3), RGB
    mpp : float
        µm per pixel.
    bounds : tuple of int, optional
        x, y, width, height of the scanned part; the whole by default.
    background : tuple of int
        Colour outside of the array.
    broken : sequence of tuple of int
        Rectangles (x, y, width, height): reads that touch one raise ReadFailedError.
    path : str
        What `path` answers.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        mpp: float = 0.5,
        *,
        bounds: tuple[int, int, int, int] | None = None,
        background: tuple[int, int, int] = (255, 255, 255),
        broken: tuple[tuple[int, int, int, int], ...] = (),
        path: str = "memory",
    ) -> None:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8 (h, w, 3), got {pixels.dtype} {pixels.shape}")
        size = (pixels.shape[1], pixels.shape[0])
        super().__init__(
            SlideHead(
                path, size, float(mpp), bounds or (0, 0, *size), (Level(*size, 1.0),),
                SlideInfo(vendor="array", reader="array"),
            )
        )  # fmt: skip
        self._pixels = pixels
        self._background = np.asarray(background, np.float64)
        self._broken = broken

    @property
    def fingerprint(self) -> str:
        """sha256 of the pixels and the resolution."""
        digest = hashlib.sha256(np.ascontiguousarray(self._pixels).data)
        digest.update(repr((self._pixels.shape, self.mpp)).encode())
        return digest.hexdigest()

    def read(self, x: float, y: float, w: int, h: int, mpp: float) -> npt.NDArray[np.uint8]:
        """Pixels of a region at a resolution; see `pathsearch.nouns.Slide.read`."""
        self.check_open()
        scale = mpp / self.mpp
        if scale * MAX_ENLARGEMENT < 1.0 - 1e-9:
            raise ResolutionTooCoarseError(
                f"{self.path}: {self.mpp:g} µm per pixel is too coarse for {mpp:g}; "
                "use a spec with a larger mpp.",
                slide_mpp=self.mpp,
                wanted_mpp=mpp,
            )
        if abs(scale - 1.0) <= 0.02:
            scale = 1.0
        for bx, by, bw, bh in self._broken:
            if bx < x + w * scale and x < bx + bw and by < y + h * scale and y < by + bh:
                raise ReadFailedError(
                    f"{self.path}: the pixels at {bx}, {by} cannot be decoded.", x=bx, y=by
                )
        # The mean over each output pixel's square is the matrix product of two averagings.
        wide, tall = self.size
        x0, x1 = _window(x, w, scale, wide)
        y0, y1 = _window(y, h, scale, tall)
        across = _averaging(x - x0, w, scale, x1 - x0)
        down = _averaging(y - y0, h, scale, y1 - y0)
        part = self._pixels[y0:y1, x0:x1].astype(np.float64)
        mean = np.einsum("iy,yxc,jx->ijc", down, part, across, optimize=True)
        touched = (down.sum(axis=1)[:, None] > 0) & (across.sum(axis=1) > 0)
        mean[~touched] = self._background
        answer: npt.NDArray[np.uint8] = np.clip(np.rint(mean), 0, 255).astype(np.uint8)
        return answer


def _window(start: float, n: int, scale: float, size: int) -> tuple[int, int]:
    """The source pixels, clipped to the array, that `n` outputs from `start` touch."""
    first = min(max(math.floor(start), 0), size)
    return first, min(max(math.ceil(start + n * scale), first), size)


def _averaging(start: float, n: int, scale: float, size: int) -> npt.NDArray[np.float64]:
    """Matrix (n, size): share of source pixel j in the mean that is output pixel i.

    The mean is over the part of the output pixel within the array; a row of one that lies
    wholly outside is zero.
    """
    edges = start + np.arange(n + 1) * scale
    low, high = edges[:-1, None], edges[1:, None]
    cell = np.arange(size)[None, :]
    overlap = np.minimum(high, cell + 1) - np.maximum(low, cell)
    overlap = np.where(overlap > _SLIVER * scale, overlap, 0.0)
    weights: npt.NDArray[np.float64] = overlap / np.maximum(
        overlap.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny
    )
    return weights
