"""A picture of how a slide would be tiled, for the eye."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pathsearch.config import TissueSettings
from pathsearch.nouns import Slide, Tiling
from pathsearch.tiling.grid import DEFAULT_TISSUE, find_tissue
from pathsearch.tiling.overview import overview
from pathsearch.tiling.regions import Regions

OUTLINE = (20, 120, 60)
PATCH = (30, 90, 200)


def preview(
    slide: Slide,
    tiling: Tiling,
    *,
    max_px: int = 1600,
    tissue: TissueSettings = DEFAULT_TISSUE,
    regions: Regions | None = None,
) -> npt.NDArray[np.uint8]:
    """The slide, the outline of its tissue, the patches and the numbers.

    Parameters
    ----------
    slide : Slide
    tiling : Tiling
        What `tile` answered for this slide.
    max_px : int
        Longest side of the slide in the picture.
    tissue : TissueSettings
        The same as were given to `tile`.
    regions : Regions, optional
        Drawn beside the mask.

    Returns
    -------
    uint8 array, shape (h, w, 3), RGB
    """
    from PIL import Image, ImageDraw

    _, _, width, height = slide.bounds
    seen = overview(slide, slide.mpp * max(1.0, max(width, height) / max_px))
    coarse, mask = find_tissue(slide, tissue)
    h, w = seen.pixels.shape[:2]
    big = Image.fromarray(mask).resize(
        (w, h),
        Image.Resampling.NEAREST,
        box=(0, 0, w * seen.scale / coarse.scale, h * seen.scale / coarse.scale),
    )
    inside = np.asarray(big)
    edge = inside & ~_eroded(inside)
    canvas = Image.fromarray(np.where(edge[..., None], np.array(OUTLINE, np.uint8), seen.pixels))
    draw = ImageDraw.Draw(canvas)
    side = tiling.footprint / seen.scale
    for x, y in (tiling.xy - (seen.x, seen.y)) / seen.scale:
        draw.rectangle([x, y, x + side, y + side], outline=PATCH)
    if regions is not None:
        for ring in (r for exterior, holes in regions.rings() for r in (exterior, *holes)):
            at = (ring - (seen.x, seen.y)) / seen.scale
            draw.line([(float(x), float(y)) for x, y in at], fill=OUTLINE, width=3)
    return np.asarray(canvas)


def _eroded(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    smaller: npt.NDArray[np.bool_] = ndimage.binary_erosion(mask, iterations=2, border_value=1)
    return smaller
