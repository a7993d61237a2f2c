"""A picture of how a slide would be tiled, for the eye."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.config import TissueSettings
from pathsearch.nouns import Slide, Tiling
from pathsearch.tiling.grid import DEFAULT_TISSUE, Found, find_tissue
from pathsearch.tiling.mask import is_fluorescence
from pathsearch.tiling.overviews import overview
from pathsearch.tiling.regions import Regions

#: Colour-blind-safe (Okabe and Ito 2008): green, blue, vermilion, yellow.
TISSUE, PATCH, DRAWN, UNREADABLE = (0, 158, 115), (0, 114, 178), (213, 94, 0), (240, 228, 66)
INK, PAPER, FAINT = (32, 32, 32), (255, 255, 255), (110, 110, 110)
#: Height of the strip of numbers, and its text, pixels.
STRIP, TEXT = 84, 17
#: Patches narrower than this in the picture are shaded, not outlined.
OUTLINED_PX = 5
#: Narrowest picture, so that the numbers have room.
NARROWEST = 620
#: Lengths that a scale bar may have, µm.
BARS_UM = (50, 100, 200, 500, 1000, 2000, 5000, 10000)


def preview(
    slide: Slide,
    tiling: Tiling,
    *,
    max_px: int = 1600,
    tissue: TissueSettings = DEFAULT_TISSUE,
    regions: Regions | None = None,
    found: Found | None = None,
) -> npt.NDArray[np.uint8]:
    """The slide, the outline of its tissue, its patches, a scale bar and the numbers.

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
        The same as were given to `tile`; drawn beside the mask.
    found : Found, optional
        What `find_tissue` answered for this slide and `tissue`.

    Returns
    -------
    uint8 array, shape (h, w, 3), RGB
        Yellow where the slide cannot be decoded.
    """
    from PIL import Image, ImageDraw

    _, _, width, height = slide.bounds
    seen = overview(slide, slide.mpp * max(1.0, max(width, height) / max_px))
    coarse, mask = found or find_tissue(slide, tissue)
    pixels, gain = _brightened(seen.pixels)
    pixels = np.where(seen.unreadable[..., None], np.array(UNREADABLE, np.uint8), pixels)
    h, w = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture, "RGBA")
    corners = (tiling.xy - (seen.x, seen.y)) / seen.scale
    _draw_patches(draw, corners, tiling.footprint / seen.scale)
    factor = seen.scale / coarse.scale
    # The same frame at another resolution: rows of the mask under rows of the picture.
    rows = np.minimum((np.arange(h) + 0.5) * factor, mask.shape[0] - 1).astype(np.intp)
    columns = np.minimum((np.arange(w) + 0.5) * factor, mask.shape[1] - 1).astype(np.intp)
    picture.paste(TISSUE, mask=Image.fromarray(_outline(mask[np.ix_(rows, columns)])))
    if regions is not None:
        for ring in (r for exterior, holes in regions.rings() for r in (exterior, *holes)):
            at = (ring - (seen.x, seen.y)) / seen.scale
            draw.line([(float(x), float(y)) for x, y in at], fill=DRAWN, width=3)
    sheet = Image.new("RGB", (max(w, NARROWEST), h + STRIP), PAPER)
    sheet.paste(picture, ((sheet.width - w) // 2, 0))
    remarks = [f"brightened {gain:.0f} times for display"] if gain > 1 else []
    if seen.unreadable.any():
        remarks.append(f"up to {percent(seen.unreadable_share)} cannot be decoded (yellow)")
    _draw_numbers(ImageDraw.Draw(sheet), slide, tiling, (sheet.width, h, seen.mpp), remarks)
    return np.asarray(sheet)


def _draw_patches(draw: Any, corners: npt.NDArray[np.float64], side: float) -> None:
    """Patches outlined, or shaded where an outline would hide the tissue."""
    fill = (*PATCH, 60) if side < OUTLINED_PX else None
    outline = None if fill else (*PATCH, 190)
    for x, y in corners:
        # Pillow's rectangles hold their last pixel.
        draw.rectangle([x, y, max(x, x + side - 1), max(y, y + side - 1)], fill, outline)


def percent(share: float) -> str:
    """A share that is not nothing, in words: 0.003 is ``<1%``."""
    return "<1%" if share < 0.005 else f"{100 * share:.0f}%"


def _draw_numbers(
    draw: Any, slide: Slide, tiling: Tiling, at: tuple[int, int, float], remarks: list[str]
) -> None:
    """Name and numbers below the slide; `at` is its width, height and mpp in the picture."""
    from PIL import ImageFont

    width, top, mpp = at
    # Pillow's own font, the only one that is everywhere, has no µ, × or ².
    font, small = ImageFont.load_default(size=TEXT), ImageFont.load_default(size=TEXT - 4)
    sx, sy = slide.size
    um = slide.mpp
    bar = max((b for b in BARS_UM if b / mpp <= width / 4), default=BARS_UM[0])
    length = bar / mpp
    label = f"{bar / 1000:g} mm" if bar >= 1000 else f"{bar} um"
    left = width - 16 - length
    draw.rectangle([left, top + 18, left + length, top + 23], fill=INK)
    draw.text((left + length / 2, top + 28), label, fill=INK, font=small, anchor="ma")
    name = PurePath(slide.path).name
    room = left - 40
    while len(name) > 8 and draw.textlength(name, font=font) > room:
        name = f"{name[: len(name) // 2 - 2]}...{name[len(name) // 2 + 2 :]}"
    draw.text((16, top + 10), name, fill=INK, font=font)
    _, _, bw, bh = slide.bounds
    area = bw * bh * (um / 1000) ** 2
    side = tiling.footprint * um
    facts = [
        ", ".join([f"{sx} x {sy} px at {um:.3g} um/px (about {10 / um:.2g}x)", *remarks]),
        f"{len(tiling)} patches, {side:.0f} um wide; tissue {tiling.tissue_share * area:.3g} mm2"
        f" ({100 * tiling.tissue_share:.0f}% of the scanned part)",
    ]
    for n, line in enumerate(facts):
        draw.text((16, top + 36 + 20 * n), line, fill=FAINT, font=small)


def _brightened(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
    """A fluorescence slide made visible, and by what factor; others as they are."""
    if not is_fluorescence(np.ascontiguousarray(np.moveaxis(pixels, 2, 0))):
        return pixels, 1.0
    high = float(np.percentile(pixels.max(axis=2), 99.5))
    gain = float(np.clip(255.0 / max(high, 1.0), 1.0, 16.0))
    return np.clip(pixels * np.float32(gain), 0, 255).astype(np.uint8), gain


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Two pixels along the inner border of a mask: 255, else 0."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(mask, iterations=2, border_value=1)
    return np.where(mask & ~inner, np.uint8(255), np.uint8(0))
