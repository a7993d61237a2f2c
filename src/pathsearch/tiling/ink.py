"""Marks of felt pens on an overview of a slide.

The bounds below were set on the optical densities, at 8 µm per pixel, of 190,000 pixels of
real tissue (breast, colon, lung, kidney, brain, oral mucosa; H&E and PAS): fewer than 0.2%
of them, scattered, have a colour that counts as ink here.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

#: A mark is at least this wide, µm; narrower spots of a pen's colour are pigment.
WIDTH_UM = 60.0
#: Smallest area of a mark, µm² (a dot 150 µm wide).
AREA_UM2 = 18_000.0
#: Gaps in a mark up to this width belong to it, µm.
GAP_UM = 150.0
#: How far the thin rim of a mark is followed, µm.
RIM_UM = 60.0


def ink_mask(od: Float, mpp: float) -> Mask:
    """Where a pen was.

    Parameters
    ----------
    od : float32 array, shape (3, h, w)
        Optical density relative to the glass, of red, green and blue.
    mpp : float
        µm per pixel.

    Returns
    -------
    bool array, shape (h, w)
    """
    from scipy import ndimage

    core, rim = ink_colours(od)
    core = ndimage.binary_opening(core, iterations=max(1, round(WIDTH_UM / 2 / mpp) - 1))
    labels, count = ndimage.label(core)
    if not count:
        return core
    area = np.bincount(labels.ravel())
    keep = area * mpp * mpp >= AREA_UM2
    keep[0] = False
    marks: Mask = keep[labels]
    if not marks.any():
        return marks
    steps = max(1, round(RIM_UM / mpp))
    grown = ndimage.binary_dilation(marks, iterations=steps, mask=rim | marks)
    # Where strokes cross, or ink lies thinly on dense tissue, the colours are others.
    side = round(GAP_UM / mpp) | 1
    grown |= ndimage.grey_closing(grown.view(np.uint8), size=(side, side)) > 0
    # One more pixel: the mixture of ink and glass has any colour.
    return np.asarray(ndimage.binary_dilation(grown, iterations=math.ceil(8.0 / mpp)))


def ink_colours(od: Float) -> tuple[Mask, Mask]:
    """Pixels with the dense and with the thin colour of an ink.

    Green is what the dyes of tissue absorb most, next to haematoxylin's red and DAB's blue:
    blue ink absorbs red far more than green, green ink absorbs green least, red ink lets
    red through and absorbs blue nearly like green, black ink absorbs all alike.
    """
    r, g, b = od
    low, high = od.min(axis=0), od.max(axis=0)
    blue = (r > 0.5) & (r > 1.15 * g) & (r - b > 0.3)
    # The same over stained tissue.
    blue |= (r > 0.9 * g) & (r - b > 0.5)
    green = (r > 0.4) & (g < 0.85 * np.minimum(r, b))
    red = (g > 0.5) & (r < 0.25 * g) & (b > 0.75 * g)
    black = (low > 0.6) & (high - low < 0.07 * (r + g + b))
    dense = blue | green | red | black
    thin = (
        ((r > 0.06) & (r > 1.12 * g) & (r - b > 0.4 * r))
        | ((r > 0.06) & (g < 0.8 * np.minimum(r, b)))
        | ((g > 0.08) & (r < 0.28 * g) & (b > 0.72 * g))
        | ((low > 0.06) & (high - low < 0.35 * low))
    )
    return dense, thin | dense
