"""Similarity maps as pictures and as GeoJSON."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.search.maps import SimilarityMap

if TYPE_CHECKING:
    from PIL.Image import Image

#: Five stops of viridis (Smith and van der Walt 2015): even in lightness, safe for the
#: colour-blind.
_STOPS = np.array(
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float64
)
_LONGER_SIDE = 1200
_LEGEND = 44


def colours(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values 0..1 (any shape) as RGB uint8, shape (..., 3)."""
    at = np.clip(np.nan_to_num(values), 0, 1) * (len(_STOPS) - 1)
    low = np.minimum(at.astype(int), len(_STOPS) - 2)
    share = (at - low)[..., None]
    return np.asarray(_STOPS[low] * (1 - share) + _STOPS[low + 1] * share, np.uint8)


def draw_map(
    found: SimilarityMap, bounds: tuple[int, int, int, int], thumbnail: bytes | None
) -> Image:
    """Draw a map over the slide's thumbnail, with a legend.

    Parameters
    ----------
    found : SimilarityMap
    bounds : tuple of int
        x, y, width, height of the scanned part, level-0 pixels: what the thumbnail shows.
    thumbnail : bytes or None
        JPEG or PNG; white where there is none.

    Returns
    -------
    PIL.Image.Image
        RGB; the colours run from the slide's 2nd to its 98th percentile, as the legend says.
    """
    from PIL import Image as Images

    scale = _LONGER_SIDE / max(bounds[2:])
    width, height = (max(1, round(length * scale)) for length in bounds[2:])
    if thumbnail is None:
        base = Images.new("RGB", (width, height), "white")
    else:
        base = Images.open(io.BytesIO(thumbnail)).convert("RGB")
        base = base.resize((width, height), Images.Resampling.LANCZOS)
    there = np.isfinite(found.values)
    low, high = np.percentile(found.values[there], [2, 98])
    layer = colours((found.values - low) / max(high - low, 1e-6))
    alpha = np.where(there, 190, 0).astype(np.uint8)
    x, y = (round((c - edge) * scale) for c, edge in zip(found.origin, bounds, strict=False))
    shape = (
        max(1, round(found.values.shape[1] * found.step * scale)),
        max(1, round(found.values.shape[0] * found.step * scale)),
    )
    nearest = Images.Resampling.NEAREST
    mask = Images.fromarray(alpha).resize(shape, nearest)
    base.paste(Images.fromarray(layer).resize(shape, nearest), (x, y), mask)
    return _with_legend(base, float(low), float(high))


def _with_legend(base: Image, low: float, high: float) -> Image:
    from PIL import Image as Images
    from PIL import ImageDraw, ImageFont

    whole = Images.new("RGB", (base.width, base.height + _LEGEND), "white")
    whole.paste(base, (0, 0))
    ramp = colours(np.linspace(0, 1, 256, dtype=np.float32)[None, :].repeat(14, axis=0))
    whole.paste(Images.fromarray(ramp), (12, base.height + 8))
    draw = ImageDraw.Draw(whole)
    font = ImageFont.load_default(13)
    draw.text((12, base.height + 25), f"{low:.2f}", fill=(30, 30, 30), font=font)
    draw.text((240, base.height + 25), f"{high:.2f}", fill=(30, 30, 30), font=font)
    draw.text((284, base.height + 8), "similarity (cosine)", fill=(30, 30, 30), font=font)
    return whole


def map_to_geojson(found: SimilarityMap) -> dict[str, Any]:
    """One square a patch with its similarity, level-0 pixels, as QuPath 0.5 reads it."""
    features = []
    for row, column in np.argwhere(np.isfinite(found.values)).tolist():
        x, y = found.origin[0] + column * found.step, found.origin[1] + row * found.step
        side = found.footprint
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        score = float(found.values[row, column])
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"objectType": "tile", "measurements": {"similarity": score}},
            }
        )
    return {"type": "FeatureCollection", "features": features}
