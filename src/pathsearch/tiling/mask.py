"""Tissue or glass, pixel by pixel, on an overview of a slide.

What tells tissue from everything else under a bright-field microscope is that it is
*stained* and *structured*. A film of eosin beside the section is stained and smooth; the
edge of a coverslip, a bubble and dust are structured and grey; ink is stained in colours
that no usual stain has (`pathsearch.tiling.ink`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pathsearch.config import TissueSettings
from pathsearch.tiling.ink import ink_mask

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

#: Colour of the glass where a slide shows none, RGB.
DEFAULT_GLASS = (244.0, 244.0, 244.0)
#: Light that reaches the sensor without a specimen, in levels: keeps the noise of
#: nearly black pixels from passing for colour.
STRAY_LIGHT = 6.0
#: Difference of optical density between the channels. Measured at 8 µm per pixel on real
#: slides: tissue 0.03 to 0.34, a film of eosin up to 0.06, glass and dust below 0.02.
STAINED, STRONGLY_STAINED = 0.028, 0.12
#: Local spread of that difference; tissue 0.02 to 0.15, a film of eosin or glass below 0.003.
STRUCTURED = 0.008
#: Local spread of the mean density; tissue from 0.005 (fat) up, glass, films and the spots of
#: a printed array below 0.0025.
ROUGH = 0.0042
#: Least mean density of pale tissue.
PALE = 0.012
#: Grey structures narrower than this are lines and rims; structure is seen 40 µm beyond them.
AREAL_UM = 200.0
#: Least difference between the channels as a share of the mean density: pale tissue has 0.3
#: and more, coverslips, bubbles and dust next to nothing.
COLOURED = 0.15
#: A deviation counts up to so many times the threshold of its spread.
PEAK = 3.5
#: Nothing on a slide is darker but the scanner's own black, levels.
BLACK = 24
#: Gaps that belong to the tissue: fat cells, lumina, clefts. µm across.
GAP_UM = 80.0
#: Enclosed glass up to this diameter is part of the tissue, µm.
HOLE_UM = 350.0
#: Bright-field slides have at least this share of pixels that are brighter than this.
BRIGHT_SHARE, BRIGHT_LEVEL = 0.02, 110
#: Median brightness, at most, of a fluorescence slide.
DARK_LEVEL = 60


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
        Pixels that say nothing (they could not be read); the answer there is False.

    Returns
    -------
    bool array, shape (h, w)
        True on tissue.
    """
    settings = settings or TissueSettings()
    if settings.mode == "all":
        return np.ones(thumbnail.shape[:2], np.bool_)
    # One plane a channel: extremes over the channels are many times faster.
    planes = np.ascontiguousarray(np.moveaxis(thumbnail, 2, 0))
    mode = settings.mode
    if mode == "auto":
        mode = "fluorescence" if is_fluorescence(planes, ignore) else "brightfield"
    if mode == "fluorescence":
        return _fluorescence(planes, mpp, settings, ignore)
    return _brightfield(planes, mpp, settings, ignore)


def is_fluorescence(planes: npt.NDArray[np.uint8], ignore: Mask | None = None) -> bool:
    """Whether the background of an overview, uint8 (3, h, w), is dark.

    It is where hardly a pixel is bright, black borders apart.
    """
    seen = planes.max(axis=0) > BLACK // 4
    if ignore is not None:
        seen &= ~ignore
    grey = (planes.sum(axis=0, dtype=np.uint16) // 3)[seen]
    if not grey.size:
        return True
    bright = np.count_nonzero(grey > BRIGHT_LEVEL) / grey.size
    return bool(bright < BRIGHT_SHARE and np.median(grey) < DARK_LEVEL)


def glass_colour(planes: npt.NDArray[np.uint8]) -> Float:
    """Colour of the empty glass, float32 (3,): the median of what is bright and grey.

    Parameters
    ----------
    planes : uint8 array, shape (3, h, w)
    """
    high, low = planes.max(axis=0), planes.min(axis=0)
    # Pure white is what readers and scanners fill in where nothing was scanned.
    empty = (low > 180) & (high - low < 28) & (low < 255)
    if np.count_nonzero(empty) < 0.002 * empty.size:
        return np.asarray(DEFAULT_GLASS, np.float32)
    return np.array([np.median(plane[empty]) for plane in planes], np.float32)


def optical_density(planes: npt.NDArray[np.uint8], glass: Float) -> Float:
    """-log10 of the light that passes, relative to the glass, never below 0.

    Parameters
    ----------
    planes : uint8 array, shape (3, h, w)
    glass : float32 array, shape (3,)

    Returns
    -------
    float32 array, shape (3, h, w)
    """
    levels = np.arange(256, dtype=np.float32)
    od = np.empty(planes.shape, np.float32)
    for plane, clear, out in zip(planes, glass, od, strict=True):
        table = -np.log10((levels + STRAY_LIGHT) / (clear + STRAY_LIGHT))
        np.maximum(table, 0.0).astype(np.float32).take(plane, out=out)
    return od


def _brightfield(
    planes: npt.NDArray[np.uint8], mpp: float, settings: TissueSettings, ignore: Mask | None
) -> Mask:
    """Stained and structured, or strongly stained; not ink, not the scanner's black."""
    from scipy import ndimage

    void = planes.max(axis=0) < BLACK
    if ignore is not None:
        void |= ignore
    od = optical_density(planes, glass_colour(planes))
    # A pixel at the rim of what is void is a mixture of both.
    off = ndimage.binary_dilation(void, iterations=2) if void.any() else void
    if settings.exclude_pen:
        off |= ink_mask(od, mpp)
    od[:, void] = 0.0
    # Grey things absorb alike in all channels: their difference is 0.
    stain = od.max(axis=0) - od.min(axis=0)
    density = od.mean(axis=0)
    stain[off] = density[off] = 0.0
    least = 1.0 / settings.sensitivity
    soft = ndimage.gaussian_filter(stain, 0.6)
    found = soft > STRONGLY_STAINED * least
    found |= (soft > STAINED * least) & (
        structure(stain, mpp, STRUCTURED * least) > STRUCTURED * least
    )
    # Pale tissue (fat, mucus, a weak counterstain) shows by its structure, by not being grey,
    # and by being wider than the rim of a bubble or the line of a coverslip.
    rough = structure(density, mpp, ROUGH * least) > ROUGH * least
    if settings.exclude_artefacts:
        pool = max(40.0 / mpp, 1.0)
        colour = ndimage.gaussian_filter(stain, pool, truncate=3.0)
        rough &= colour > COLOURED * ndimage.gaussian_filter(density, pool, truncate=3.0)
        side = round(AREAL_UM / mpp) | 1
        rough = ndimage.grey_opening(rough.view(np.uint8), size=(side, side), mode="nearest") > 0
    found |= rough & (ndimage.gaussian_filter(density, 0.6) > PALE * least)
    return _whole(found, mpp, settings, ~off)


def structure(values: Float, mpp: float, threshold: float) -> Float:
    """Local spread at the scale of cells and fibres (root mean square), float32 (h, w).

    Deviations count up to `PEAK` times the threshold that the answer is compared with:
    the strong border of a section does not reach far over the glass then.
    """
    from scipy import ndimage

    # The spread without what varies over more than 50 µm, pooled over 30 µm around.
    fine = values - ndimage.gaussian_filter(values, max(16.0 / mpp, 0.8))
    np.clip(fine, -PEAK * threshold, PEAK * threshold, out=fine)
    fine *= fine
    pooled = ndimage.gaussian_filter(fine, max(30.0 / mpp, 1.0), truncate=3.0)
    spread: Float = np.sqrt(np.maximum(pooled, 0.0))
    return spread


def _fluorescence(
    planes: npt.NDArray[np.uint8], mpp: float, settings: TissueSettings, ignore: Mask | None
) -> Mask:
    """Brighter than the dark background, by Otsu's threshold of the logarithm."""
    light = planes.max(axis=0).astype(np.float32)
    if min(light.shape) > 2:
        # A few percent of the white outside of the image, mixed into its outermost pixels by
        # a reader's filter, would be a bright frame here.
        light = np.pad(light[1:-1, 1:-1], 1, mode="edge")
    usable = np.ones(light.shape, np.bool_) if ignore is None else ~ignore
    # A pixel of pure white in the dark is outside of the image, or a reflection.
    usable &= planes.min(axis=0) < 250
    if not usable.any():
        return np.zeros(light.shape, np.bool_)
    values = np.log2(light + 2.0)
    cut = otsu(values[usable])
    lit = (values > cut) & usable
    if not lit.any() or lit.all():
        return np.zeros(light.shape, np.bool_)
    signal, dark = np.median(light[lit]), np.median(light[usable & ~lit])
    # An empty slide is split too, in the middle of its noise.
    if signal < 1.6 * dark + 3.0 / settings.sensitivity:
        return np.zeros(light.shape, np.bool_)
    return _whole(lit, mpp, settings, usable)


def otsu(values: npt.NDArray[np.floating], bins: int = 256) -> float:
    """The threshold that parts values best in two groups (Otsu 1979).

    Values that are all alike are below it.
    """
    if not np.ptp(values):
        return float(values.flat[0])
    counts, edges = np.histogram(values, bins=bins)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between[:-1]))])


def _whole(found: Mask, mpp: float, settings: TissueSettings, allowed: Mask) -> Mask:
    """Gaps of fat and lumina closed, dust dropped."""
    from scipy import ndimage

    side = 2 * max(1, round(GAP_UM / 2 / mpp)) + 1
    # A square is closed in two passes of running extremes, whatever its side.
    closed = ndimage.grey_closing(found.view(np.uint8), size=(side, side), mode="nearest") > 0
    small = math.pi / 4 * (HOLE_UM / mpp) ** 2
    holes, count = ndimage.label(~closed)
    if count:
        area = np.bincount(holes.ravel())
        fill = area < small
        fill[0] = False
        # Glass at the rim of the picture is not enclosed.
        fill[_at_rim(holes)] = False
        closed |= fill[holes]
    closed &= allowed
    labels, count = ndimage.label(closed, structure=np.ones((3, 3)))
    if not count:
        return closed
    area = np.bincount(labels.ravel())
    keep = area >= math.pi / 4 * (settings.min_area_um / mpp) ** 2
    keep[0] = False
    kept: Mask = keep[labels]
    return kept


def _at_rim(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    return np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
