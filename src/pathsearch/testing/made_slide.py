"""Made-up slides as files: a drawing, written as a pyramidal TIFF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pathsearch.testing.artefacts import Artefact, OutOfFocus
from pathsearch.testing.drawing import Layout, SlideDrawing, draw_slide
from pathsearch.testing.pyramid import TiffOptions, write_pyramid
from pathsearch.testing.stain import Stain

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


def make_slide(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (2048, 2048),
    mpp: float = 0.5,
    seed: int = 0,
    layout: Layout = None,
    stain: Stain | None = None,
    artefacts: Sequence[str | Artefact | OutOfFocus] = (),
    pieces: int = 1,
    downsamples: Sequence[float] | None = None,
    tile: int = 256,
    compression: Literal["jpeg", "deflate", "none"] = "jpeg",
    quality: int = 85,
    subsampling: Literal["420", "422", "444"] = "420",
    vendor: Literal["generic", "aperio"] = "generic",
    stated_mpp: float | None | Literal["same"] = "same",
    threads: int = 0,
) -> MadeSlide:
    """Draw a slide and write it as a tiled pyramid that OpenSlide opens.

    The same arguments give the same bytes, whatever the number of threads. Memory holds a
    few rows of tiles, whatever the size.

    Parameters
    ----------
    path : path
        Overwritten if it is there. By the vendor's custom ``.tiff`` or ``.svs``.
    size : tuple of int
        Width and height, level-0 pixels.
    mpp : float
        µm per pixel that the tissue is drawn at.
    seed : int
        Of the places of everything, and of the stain where none is given.
    layout, stain, artefacts, pieces
        See `pathsearch.testing.draw_slide`.
    downsamples : sequence of float, optional
        Of the levels, from 1 on; need not be whole. By default 1, 4, 16, … until the
        coarsest has sides of at most 1024 pixels.
    tile : int
        Side of a tile, a multiple of 16.
    compression : {'jpeg', 'deflate', 'none'}
    quality : int
        Of JPEG.
    subsampling : {'420', '422', '444'}
        Of JPEG's colours.
    vendor : {'generic', 'aperio'}
    stated_mpp : float, None or 'same'
        The resolution that the file states; None states none.
    threads : int
        That draw; 0 for one a core.

    Returns
    -------
    MadeSlide
    """
    if tile < 16 or tile % 16:
        raise ValueError(f"a TIFF tile's side is a multiple of 16, not {tile}")
    levels = tuple(float(d) for d in downsamples) if downsamples else default_levels(size)
    if levels[0] != 1.0 or any(b <= a for a, b in zip(levels, levels[1:], strict=False)):
        raise ValueError(f"downsamples rise from 1, not {levels}")
    drawing = draw_slide(
        size,
        mpp=mpp,
        seed=seed,
        layout=layout,
        stain=stain,
        artefacts=tuple(artefacts),
        pieces=pieces,
    )
    threads = threads or os.cpu_count() or 1
    drawing.prepare(threads)
    stated = mpp if stated_mpp == "same" else stated_mpp
    options = TiffOptions(tile, compression, quality, subsampling, vendor, stated)
    target = Path(path)
    write_pyramid(target, drawing.pixels, drawing.size, levels, options, threads)
    return MadeSlide(target, drawing, levels)


def default_levels(size: tuple[int, int]) -> tuple[float, ...]:
    """Downsamples 1, 4, 16, … until both sides are at most `COARSEST_PX`."""
    levels = [1.0]
    while max(size) / levels[-1] > COARSEST_PX:
        levels.append(levels[-1] * 4)
    return tuple(levels)
