"""The grid of patches on a slide, and how much of each is tissue."""

from __future__ import annotations

import contextlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from pathsearch.config import TileSpec, TissueSettings
from pathsearch.errors import ReadFailedError
from pathsearch.nouns import Slide, Tiling
from pathsearch.tiling.mask import tissue_mask
from pathsearch.tiling.overviews import Overview, overview
from pathsearch.tiling.regions import Regions

DEFAULT_TISSUE = TissueSettings()
#: The overview of a slide and the tissue on it, bool (h, w).
Found = tuple[Overview, npt.NDArray[np.bool_]]


def tile(
    slide: Slide,
    spec: TileSpec,
    *,
    tissue: TissueSettings = DEFAULT_TISSUE,
    regions: Regions | None = None,
    regions_mode: Literal["replace", "restrict"] = "replace",
    found: Found | None = None,
) -> Tiling:
    """The patches of a slide that hold enough tissue.

    The grid starts at the top-left corner of ``slide.bounds``; only patches that lie wholly
    inside the bounds are taken. A slide without tissue gives no patches, and no error.

    Parameters
    ----------
    slide : Slide
    spec : TileSpec
        Size, resolution and stride of the patches, and the least share of tissue.
    tissue : TissueSettings
        How tissue is told from glass.
    regions : Regions, optional
        What the user marked, level-0 pixels.
    regions_mode : {'replace', 'restrict'}
        ``replace``: the regions are the tissue, whatever the pixels show. ``restrict``:
        only tissue inside the regions counts.
    found : Found, optional
        What `find_tissue` answered for this slide and `tissue`, so that several specs look
        for it once.

    Returns
    -------
    Tiling

    Raises
    ------
    ResolutionTooCoarseError
        The slide is too coarse for the spec.
    ReadFailedError
        Nothing of the slide can be decoded.
    """
    check_resolution(slide, spec)
    footprint = max(1, round(spec.size_px * spec.mpp / slide.mpp))
    stride = max(1, round(spec.stride_px * spec.mpp / slide.mpp))
    xs, ys = grid_lines(slide.bounds, footprint, stride)
    if regions is not None and regions_mode == "replace":
        share, whole = regions.shares(xs, ys, footprint), regions.share_of(slide.bounds)
    else:
        seen, mask = found or find_tissue(slide, tissue)
        cover = mask.astype(np.float32)
        if regions is not None:
            cover *= regions.coverage((seen.x, seen.y), seen.scale, mask.shape)
        share = shares(
            cover, (xs - seen.x) / seen.scale, (ys - seen.y) / seen.scale, footprint / seen.scale
        )
        whole = _share_of_bounds(cover, slide, seen.scale)
    # Not strictly more than nothing would let min_tissue=0 take bare glass patches: that is
    # what 0 asks for, and the only setting that asks for it.
    rows, columns = np.nonzero(share >= spec.min_tissue - 1e-6)
    xy = np.stack([xs[columns], ys[rows]], axis=1).astype(np.int64)
    return Tiling(xy, share[rows, columns].astype(np.float32), footprint, whole)


def find_tissue(slide: Slide, tissue: TissueSettings = DEFAULT_TISSUE) -> Found:
    """The overview of a slide and the tissue on it.

    Places that cannot be decoded take the answer of the nearest place that can, so that
    the patches there are asked for, fail, and are counted, instead of passing for glass.
    """
    seen = overview(slide, tissue.mpp)
    if not seen.unreadable.any():
        return seen, tissue_mask(seen.pixels, seen.mpp, tissue)
    from scipy import ndimage

    nearest = tuple(
        ndimage.distance_transform_edt(seen.unreadable, return_distances=False, return_indices=True)
    )
    # Filled before the mask is made: a hole has a border, which is structure.
    return seen, tissue_mask(seen.pixels[nearest], seen.mpp, tissue)[nearest]


def check_resolution(slide: Slide, spec: TileSpec) -> None:
    """Raise ResolutionTooCoarseError now, and not at the first patch."""
    x, y, width, height = slide.bounds
    # A corrupt tile in the middle says nothing about the resolution.
    with contextlib.suppress(ReadFailedError):
        slide.read(x + width // 2, y + height // 2, 1, 1, spec.mpp)


def grid_lines(
    bounds: tuple[int, int, int, int], footprint: int, stride: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Level-0 x of the columns and y of the rows of the patches inside the bounds."""
    x, y, width, height = bounds
    return (
        np.arange(x, x + width - footprint + 1, stride, dtype=np.int64),
        np.arange(y, y + height - footprint + 1, stride, dtype=np.int64),
    )


def shares(
    cover: npt.NDArray[np.float32],
    left: npt.NDArray[np.floating],
    top: npt.NDArray[np.floating],
    side: float,
) -> npt.NDArray[np.float64]:
    """Mean of `cover` in squares, by exact area.

    Parameters
    ----------
    cover : float32 array, shape (h, w)
        Constant within each pixel; outside there is nothing (0).
    left, top : float arrays, shapes (c,) and (r,)
        Edges of the squares in pixels of `cover`, fractions included.
    side : float
        Of the squares, pixels of `cover`.

    Returns
    -------
    float64 array, shape (r, c)
    """
    if not len(left) or not len(top):
        return np.zeros((len(top), len(left)))
    bands = _sums_between(cover, top, top + side)
    sums = _sums_between(bands.T, left, left + side).T
    return np.clip(sums / (side * side), 0.0, 1.0)


def _sums_between(
    values: npt.NDArray[np.floating],
    start: npt.NDArray[np.floating],
    stop: npt.NDArray[np.floating],
) -> npt.NDArray[np.float64]:
    """Integral of `values` along the first axis from `start` to `stop`, a row each."""
    n = len(values)
    total = np.zeros((n + 1, values.shape[1]), np.float64)
    np.cumsum(values, axis=0, out=total[1:])

    def up_to(edge: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        edge = np.clip(edge, 0, n)
        low = np.minimum(np.floor(edge).astype(np.intp), n - 1)
        part = (edge - low)[:, None]
        sums: npt.NDArray[np.float64] = total[low] * (1.0 - part) + total[low + 1] * part
        return sums

    sums: npt.NDArray[np.float64] = up_to(stop) - up_to(start)
    return sums


def _share_of_bounds(cover: npt.NDArray[np.float32], slide: Slide, scale: float) -> float:
    """Tissue as a share of the slide's bounds, 0..1."""
    _, _, width, height = slide.bounds
    area = float(cover.sum(dtype=np.float64)) * scale * scale
    return min(1.0, area / max(1.0, float(width) * float(height)))


def tissue_area_mm2(tiling: Tiling, slide: Slide) -> float:
    """Area of the tissue on a slide, mm²."""
    _, _, width, height = slide.bounds
    return tiling.tissue_share * width * height * (slide.mpp / 1000.0) ** 2
