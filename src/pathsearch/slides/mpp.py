"""Which µm per pixel a slide has: never a guess."""

from __future__ import annotations

import math

from pathsearch.config import SANE_MPP
from pathsearch.errors import MppAnisotropicError, MppInsaneError, MppMissingError

#: x and y may differ by this share; their mean is taken then.
MAX_ANISOTROPY = 0.02

_HINT = "give it to inspect or index with --mpp, or in an 'mpp' column of a manifest"


def resolve_mpp(
    override: float | None, mpp_x: float | None, mpp_y: float | None, path: str
) -> float:
    """µm per level-0 pixel.

    Parameters
    ----------
    override : float, optional
        What the user says; wins over the file.
    mpp_x, mpp_y : float, optional
        What the file says; None where it says nothing.
    path : str
        For the messages.

    Raises
    ------
    MppMissingError, MppInsaneError, MppAnisotropicError
    """
    if override is not None:
        return _sane(override, path, stated="was given")
    if mpp_x is None or mpp_y is None:
        raise MppMissingError(
            f"{path}: the file does not say how many µm a pixel is; {_HINT}.", path=path
        )
    for value in (mpp_x, mpp_y):
        _sane(value, path, stated="is stated in the file")
    if abs(mpp_x - mpp_y) > MAX_ANISOTROPY * min(mpp_x, mpp_y):
        raise MppAnisotropicError(
            f"{path}: pixels are not square ({mpp_x:.4g} x {mpp_y:.4g} µm); "
            f"if that is a mistake of the file, {_HINT}.",
            path=path,
            mpp_x=mpp_x,
            mpp_y=mpp_y,
        )
    return (mpp_x + mpp_y) / 2


def _sane(mpp: float, path: str, *, stated: str) -> float:
    low, high = SANE_MPP
    if not (math.isfinite(mpp) and low <= mpp <= high):
        raise MppInsaneError(
            f"{path}: {mpp:.4g} µm/px {stated}, but slides have {low:g} to {high:g}; "
            f"if you know the right value, {_HINT}.",
            path=path,
            mpp=mpp,
        )
    return mpp


def number(text: object) -> float | None:
    """A positive finite number out of a property, or None."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def from_tiff_tags(resolution: float | None, unit: object) -> float | None:
    """µm per pixel from a TIFF's XResolution or YResolution (pixels per unit).

    Parameters
    ----------
    resolution : float, optional
        Pixels per unit.
    unit : object
        'inch' or 2, 'centimeter' or 3; anything else says nothing.
    """
    if resolution is None or resolution <= 0:
        return None
    micrometres = {"inch": 25400.0, "2": 25400.0, "centimeter": 10000.0, "3": 10000.0}
    per_unit = micrometres.get(str(unit).lower())
    return None if per_unit is None else per_unit / resolution
