"""Made-up slides as files: a drawing, written as a pyramidal TIFF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from pathsearch.testing.drawing import DrawingOptions, SlideDrawing, draw_slide
from pathsearch.testing.pyramid import (
    Compression,
    Subsampling,
    TiffOptions,
    Vendor,
    write_pyramid,
)

#: Levels are added until both sides are at most this many pixels.
COARSEST_PX = 1024


@dataclass(frozen=True)
class MadeSlide:
    """A made-up slide on disk, and what lies where on it.

    Attributes
    ----------
    path : Path
    drawing : SlideDrawing
        The truth; also draws any part without the loss of JPEG.
    downsamples : tuple of float
        Of the levels, finest first.
    """

    path: Path
    drawing: SlideDrawing
    downsamples: tuple[float, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in level-0 pixels."""
        return self.drawing.size

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel, as drawn."""
        return self.drawing.mpp

    @property
    def labels(self) -> tuple[str, ...]:
        """The tissues that may occur."""
        return self.drawing.labels

    def __fspath__(self) -> str:
        return str(self.path)

    def label_at(self, x: float, y: float) -> str:
        """What lies at a place, level-0 pixels: a tissue's name or "glass"."""
        return self.drawing.label_at(x, y)

    def tissue_truth(self, mpp: float) -> npt.NDArray[np.bool_]:
        """Where tissue can be seen, at a coarse resolution, bool (h, w)."""
        return self.drawing.tissue_truth(mpp)

    def patch_labels(
        self, xy: npt.NDArray[np.int64], footprint: int
    ) -> tuple[list[str], npt.NDArray[np.float64]]:
        """The commonest label of each patch, and its share of the patch."""
        return self.drawing.patch_labels(xy, footprint)


class SlideOptions(DrawingOptions, total=False):
    """What a made-up slide shows (see `DrawingOptions`) and how its file is written.

    Attributes
    ----------
    size : tuple of int
        Width and height, level-0 pixels; 2048 x 2048.
    downsamples : sequence of float
        Of the levels, from 1 on; need not be whole. By default 1, 4, 16, … until the
        coarsest has sides of at most 1024 pixels.
    tile : int
        Side of a tile, a multiple of 16; 256.
    compression : {'jpeg', 'deflate', 'none'}
    quality : int
        Of JPEG; 85.
    subsampling : {'420', '422', '444'}
        Of JPEG's colours.
    vendor : {'generic', 'aperio'}
        Whose TIFF it resembles. Aperio's should be called ``.svs``.
    private_images : bool
        Add a label and a macro image, which nobody may show (Aperio only).
    stated_mpp : float or None
        The resolution that the file states, where it is not the true one; None: it states
        none.
    threads : int
        That draw; 0, the default, for one a core.
    """

    size: tuple[int, int]
    downsamples: Sequence[float]
    tile: int
    compression: Compression
    quality: int
    subsampling: Subsampling
    vendor: Vendor
    private_images: bool
    stated_mpp: float | None
    threads: int


def make_slide(path: str | os.PathLike[str], **options: Unpack[SlideOptions]) -> MadeSlide:
    """Draw a slide and write it as a tiled pyramid that OpenSlide opens.

    The same options give the same pixels, whatever the number of threads. Memory holds a
    few rows of tiles, whatever the size.

    Parameters
    ----------
    path : path
        Overwritten if it is there.
    **options
        See `SlideOptions`.

    Returns
    -------
    MadeSlide

    Raises
    ------
    ValueError
        An option that does not fit; the message says which.
    """
    size = options.get("size", (2048, 2048))
    levels = tuple(float(d) for d in options.get("downsamples", ())) or default_levels(size)
    if levels[0] != 1.0 or any(finer >= coarser for finer, coarser in pairwise(levels)):
        raise ValueError(f"downsamples rise from 1, not {levels}")
    drawing = draw_slide(size, **_drawing_part(options))
    stored = TiffOptions(
        tile=options.get("tile", 256),
        compression=options.get("compression", "jpeg"),
        quality=options.get("quality", 85),
        subsampling=options.get("subsampling", "420"),
        vendor=options.get("vendor", "generic"),
        private_images=options.get("private_images", False),
        stated_mpp=options.get("stated_mpp", drawing.mpp),
    )
    threads = options.get("threads", 0) or os.cpu_count() or 1
    drawing.prepare(threads)
    target = Path(path)
    write_pyramid(target, drawing.pixels, drawing.size, levels, stored, threads)
    return MadeSlide(target, drawing, levels)


def _drawing_part(options: SlideOptions) -> DrawingOptions:
    """The options that `draw_slide` takes."""
    part: Any = {k: v for k, v in options.items() if k in DrawingOptions.__annotations__}
    found: DrawingOptions = part
    return found


def default_levels(size: tuple[int, int]) -> tuple[float, ...]:
    """Downsamples 1, 4, 16, … until both sides are at most `COARSEST_PX`."""
    levels = [1.0]
    while max(size) / levels[-1] > COARSEST_PX:
        levels.append(levels[-1] * 4)
    return tuple(levels)
