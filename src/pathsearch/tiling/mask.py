"""Tissue or glass, pixel by pixel, on an overview of a slide."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pathsearch.config import TissueSettings

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

#: Glass where a slide shows none, RGB.
DEFAULT_GLASS = (244.0, 244.0, 244.0)


def tissue_mask(
    thumbnail: npt.NDArray[np.uint8],
    mpp: float,
    settings: TissueSettings | None = None,
    *,
    ignore: Mask | None = None,
) -> Mask:
    """Where the tissue is.

    Parameters
    ----------
    thumbnail : uint8 array, shape (h, w, 3), RGB
        The slide at a coarse resolution, about 8 µm per pixel.
    mpp : float
        Its resolution, µm per pixel.
    settings : TissueSettings, optional
    ignore : bool array, shape (h, w), optional
        Pixels that say nothing (they could not be read).

    Returns
    -------
    bool array, shape (h, w)
        True on tissue.
    """
    settings = settings or TissueSettings()
    if settings.mode == "all":
        return np.ones(thumbnail.shape[:2], np.bool_)
    if ignore is not None:
        thumbnail = np.where(ignore[..., None], np.uint8(255), thumbnail)
    glass = glass_colour(thumbnail)
    od = optical_density(thumbnail, glass)
    chroma = od.max(axis=2) - od.min(axis=2)
    return _smooth(chroma > 0.05 / settings.sensitivity, mpp, settings.min_area_um)


def glass_colour(pixels: npt.NDArray[np.uint8]) -> Float:
    """Colour of the empty glass, float32 (3,): the median of what is bright and grey."""
    high, low = pixels.max(axis=2), pixels.min(axis=2)
    empty = (low > 180) & (high - low < 25)
    if np.count_nonzero(empty) < 0.005 * empty.size:
        return np.asarray(DEFAULT_GLASS, np.float32)
    found: Float = np.median(pixels[empty], axis=0).astype(np.float32)
    return found


def optical_density(pixels: npt.NDArray[np.uint8], glass: Float) -> Float:
    """-log10 of the light that passes, relative to the glass; never below 0."""
    table = -np.log10((np.arange(256, dtype=np.float32)[:, None] + 1.0) / (glass + 1.0))
    table = np.maximum(table, 0.0).astype(np.float32)
    return np.stack([table[pixels[..., c], c] for c in range(3)], axis=2)


def _smooth(mask: Mask, mpp: float, min_area_um: float) -> Mask:
    """Gaps of fat closed, dust dropped."""
    from scipy import ndimage

    mask = ndimage.binary_closing(mask, iterations=max(1, round(32 / mpp)))
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    area = np.bincount(labels.ravel())
    keep = area >= math.pi / 4 * (min_area_um / mpp) ** 2
    keep[0] = False
    kept: Mask = keep[labels]
    return kept
