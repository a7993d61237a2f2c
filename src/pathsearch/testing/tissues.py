"""How each made-up tissue is drawn; all lengths in µm.

Sizes are those of textbook histology: lymphocyte nuclei 6 to 7 µm, tumour nuclei 9 to 14,
fibroblasts 12 x 3, fat cells 50 to 90, crypts about 100.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.testing.canvas import Canvas, Float, blobs

#: What bare glass is called in labels.
GLASS = "glass"


def stroma(c: Canvas) -> None:
    """Wavy collagen with spindle nuclei and clefts."""
    slope = _fibres(c, wave_um=16.0, fine_um=1.1, base=0.42, depth=0.15, clefts=-1.45)
    centres = c.scatter(30.0, 0.45)
    centres = centres[c.rng.random(len(centres)) < 0.7]
    m = len(centres)
    angle = _at(c, slope, centres) + c.rng.normal(0, 0.12, m)
    c.nuclei(centres, c.rng.normal(13, 2.5, m), c.rng.normal(3.4, 0.5, m), angle, stain=0.78)


def muscle(c: Canvas) -> None:
    """Smooth muscle: broad, strongly pink fibres in parallel, cigar-shaped nuclei."""
    slope = _fibres(c, wave_um=5.0, fine_um=2.6, base=0.78, depth=0.10, clefts=-2.0)
    centres = c.scatter(34.0, 0.45)
    m = len(centres)
    angle = _at(c, slope, centres)
    c.nuclei(centres, c.rng.normal(20, 3, m), c.rng.normal(4.0, 0.4, m), angle, stain=0.72)


def fat(c: Canvas) -> None:
    """Empty round cells with thin walls, few flat nuclei."""
    centres = c.scatter(68.0, 0.24)
    wall = c.cells(centres, bend=3.5, round_by=3.0)
    line = np.exp(-((wall / 1.1) ** 2))
    c.e += 0.36 * line * np.clip(1 + 0.3 * c.noise(6.0), 0.3, None) + 0.012
    c.h += 0.05 * line
    at = c.scatter(60.0, 0.4)
    here = _at(c, wall, at)
    at = at[here < 4.0]
    m = len(at)
    c.nuclei(at, c.rng.normal(9, 1.5, m), 2.6, c.rng.uniform(0, np.pi, m), stain=0.8)


def lymphocytes(c: Canvas) -> None:
    """Sheets of small, dark, round nuclei with next to no cytoplasm."""
    c.h += 0.13
    c.e += 0.16 + 0.04 * c.noise(4.0)
    centres = c.scatter(8.4, 0.26)
    keep = _at(c, c.noise(14.0), centres) > -1.5
    centres = centres[keep]
    m = len(centres)
    size = np.clip(c.rng.normal(6.6, 0.6, m), 5, 9)
    c.nuclei(centres, size, size * c.rng.uniform(0.86, 1, m), c.rng.uniform(0, 3, m), stain=1.1)


def tumour(c: Canvas) -> None:
    """Nests of large, crowded, uneven nuclei between thin septa."""
    nests = c.scatter(118.0, 0.3)
    wall = c.cells(nests)
    wall = wall + 4.0 * c.noise(14.0)
    septum = 1.0 / (1.0 + np.exp((wall - 7.0) / 1.0))
    c.e += 0.40 + 0.12 * septum * (1 + 0.5 * c.noise(1.2, 6.0)) + 0.05 * c.noise(2.5)
    c.h += 0.24 * (1 - septum) + 0.05
    centres = c.scatter(12.6, 0.27)
    inside = _at(c, wall, centres) > 10.5
    centres = centres[inside]
    m = len(centres)
    size = np.clip(c.rng.normal(10.4, 1.7, m), 7, 16)
    c.nuclei(
        centres,
        size,
        size * c.rng.uniform(0.68, 0.95, m),
        c.rng.uniform(0, np.pi, m),
        stain=0.80,
        chromatin=0.34,
    )
    # Nucleoli and a few mitoses: small, nearly black.
    dots = centres[c.rng.random(m) < 0.4]
    c.nuclei(dots + c.rng.normal(0, 1.0, dots.shape).astype(np.float32), 2.3, 2.1, stain=1.25)
    spindle = c.scatter(26.0, 0.45)
    spindle = spindle[_at(c, wall, spindle) < 5.0]
    c.nuclei(spindle, 11, 3, c.rng.uniform(0, np.pi, len(spindle)), stain=0.8)


def glands(c: Canvas) -> None:
    """Crypts: an open lumen, tall cells with pale mucin, nuclei along the border."""
    _fibres(c, wave_um=14.0, fine_um=1.3, base=0.30, depth=0.13, clefts=-1.7)
    loose = c.scatter(16.0, 0.45)
    centres = c.scatter(122.0, 0.16)
    m = len(centres)
    radius = c.rng.normal(45, 4.0, m)
    stretch = c.rng.uniform(1.0, 1.35, m)
    angle = c.rng.uniform(0, np.pi, m)
    shapes = [
        blobs(centres, 2 * r * stretch, 2 * r, angle, c.rng, wobble=0.0)
        for r in (radius, radius - 11, radius - 30)
    ]
    wobble = c.noise(9.0)
    outer, inner, lumen = (_filled(c, shape, wobble) for shape in shapes)
    free = loose[_at(c, outer, loose) < 0.05]
    free = free[c.rng.random(len(free)) < 0.75]
    c.nuclei(
        free, c.rng.normal(7.5, 1.5, len(free)), 5.0, c.rng.uniform(0, 3, len(free)), stain=0.9
    )
    # Cytoplasm: pink-violet at the border, pale with mucin towards the lumen, then nothing.
    droplets = 1.0 / (1.0 + np.exp(-2.5 * (c.noise(3.2) - 0.1)))
    c.e = c.e * (1 - outer) + outer * (0.42 - inner * (0.14 + 0.16 * droplets))
    c.h = c.h * (1 - outer) + outer * (0.22 - inner * 0.06)
    c.h *= 1 - 0.93 * lumen
    c.e *= 1 - 0.93 * lumen
    c.e += 0.10 * lumen * (c.noise(5.0) > 1.2)
    at, turn = _ring(c, centres, radius - 5.5, stretch, angle, step_um=5.4)
    k = len(at)
    c.nuclei(at, c.rng.normal(9.5, 1.0, k), c.rng.normal(5.0, 0.5, k), turn, stain=0.88)


def necrosis(c: Canvas) -> None:
    """Granular pink without structure, ghosts of cells, dark dust of nuclei."""
    coarse, fine = c.noise(7.0), c.noise(0.9)
    c.e += np.clip(0.55 + 0.09 * coarse + 0.12 * fine + 0.06 * c.noise(2.2), 0.12, None)
    c.h += np.clip(0.06 + 0.03 * fine, 0, None)
    where = c.noise(22.0)
    dust = c.scatter(7.0, 0.5)
    dust = dust[(_at(c, where, dust) > 0.35) & (c.rng.random(len(dust)) < 0.6)]
    size = np.abs(c.rng.normal(1.9, 0.8, len(dust))) + 0.7
    c.nuclei(dust, size, size * 0.8, c.rng.uniform(0, 3, len(dust)), stain=1.05, chromatin=0.1)
    ghosts = c.scatter(30.0, 0.45)
    c.nuclei(ghosts, 8.5, 7.5, stain=0.24, chromatin=0.5)


def mucus(c: Canvas) -> None:
    """Pale bluish pools with strands and a few floating cells."""
    from scipy import ndimage

    strand = np.exp(-((c.noise(9.0, 34.0) / 0.16) ** 2)) + np.exp(-((c.noise(20.0) / 0.10) ** 2))
    strand = ndimage.gaussian_filter(strand, 0.8 / c.mpp, mode="wrap", truncate=3.0)
    c.h += 0.13 + 0.035 * c.noise(12.0) + 0.16 * strand
    c.e += 0.025 + 0.05 * strand
    np.maximum(c.h, 0.02, out=c.h)
    cells = c.scatter(46.0, 0.5)
    cells = cells[_at(c, c.noise(40.0), cells) > 0.2]
    body = _filled(c, blobs(cells, 13.0, 11.0, 0.0, c.rng), None)
    c.e += 0.24 * body
    c.h += 0.08 * body
    c.nuclei(cells, 7.0, 5.5, c.rng.uniform(0, 3, len(cells)), stain=0.85)


def _glass(c: Canvas) -> None:
    """Nothing, as far as a scanner can tell."""


#: The tissues in the order of their codes; 0 is glass.
TISSUES: dict[str, Callable[[Canvas], None]] = {
    GLASS: _glass,
    "stroma": stroma,
    "glands": glands,
    "tumour": tumour,
    "fat": fat,
    "lymphocytes": lymphocytes,
    "necrosis": necrosis,
    "mucus": mucus,
    "muscle": muscle,
}


#: Finer than this, µm per pixel, light microscopes show no more: textures are enlarged.
FINEST = 0.35


def texture_px(mpp: float) -> int:
    """Side that a texture is drawn at, pixels: a power of 2, about half a millimetre."""
    for side, coarsest in ((1024, 1.1), (512, 2.2), (256, 4.5)):
        if mpp < coarsest:
            return side
    return 128


@lru_cache(maxsize=32)
def texture(tissue: str, mpp: float) -> npt.NDArray[np.uint16]:
    """A square of tissue that repeats without a seam.

    Parameters
    ----------
    tissue : str
        A key of `TISSUES`.
    mpp : float
        µm per pixel.

    Returns
    -------
    uint16 array, shape (n, n)
        Haematoxylin * 256 + eosin; `pathsearch.testing.canvas.UNIT` is a concentration of 1.
        The same on every call: slides differ by stain, place and orientation.
    """
    times = 2 if mpp < FINEST else 1
    rng = np.random.default_rng(zlib.crc32(tissue.encode()))
    canvas = Canvas(texture_px(mpp), mpp * times, rng)
    TISSUES[tissue](canvas)
    canvas = canvas.enlarged(times)
    grain = 0.008 if tissue == GLASS else 0.035
    drawn = canvas.finished(grain=grain).astype(np.uint16)
    packed = drawn[..., 0] << np.uint16(8) | drawn[..., 1]
    packed.flags.writeable = False
    return packed


def _fibres(
    c: Canvas, *, wave_um: float, fine_um: float, base: float, depth: float, clefts: float
) -> Float:
    """Pink fibres that run across and wave; empty clefts where a noise is below `clefts`.

    Returns their direction at each pixel, radians.
    """
    shift = c.noise(38.0, 30.0) * wave_um
    rows = np.arange(c.n, dtype=np.float32)[:, None] + shift / c.mpp
    texture = c.noise(fine_um, 34.0) * 0.7 + c.noise(fine_um * 3.5, 60.0) * 0.7
    gap = c.noise(fine_um * 2.0, 40.0)
    column = np.arange(c.n)[None, :]
    low = np.floor(rows).astype(np.intp)
    part = rows - low

    def bent(plane: Float) -> Float:
        result: Float = (
            plane[low % c.n, column] * (1 - part) + plane[(low + 1) % c.n, column] * part
        )
        return result

    c.e += np.clip(base + depth * bent(texture), 0.05, None)
    c.h += 0.05
    open_ = 1.0 / (1.0 + np.exp((bent(gap) - clefts) / 0.10))
    c.e *= 1 - 0.9 * open_
    c.h *= 1 - 0.9 * open_
    # A fibre lies where row + shift is constant, so its slope is minus that of the shift.
    slope: Float = -np.arctan(np.gradient(shift, c.mpp, axis=1))
    return slope


def _at(c: Canvas, plane: Float, xy: Float) -> Float:
    """Values of a plane at points (x, y) in µm."""
    ij = np.floor(xy / c.mpp).astype(np.intp) % c.n
    values: Float = plane[ij[:, 1], ij[:, 0]]
    return values


def _filled(c: Canvas, polygons: Float, wobble: Float | None) -> Float:
    """Cover of polygons, 0..1, with soft and (by a noise) irregular borders."""
    from PIL import Image
    from scipy import ndimage

    image = Image.new("L", (c.n, c.n), 0)
    c.draw(polygons, 255, image)
    soft = ndimage.gaussian_filter(
        np.asarray(image, np.float32) / 255.0, 1.6 / c.mpp, mode="wrap", truncate=3.0
    )
    if wobble is not None:
        soft = soft + 0.14 * wobble
    result: Float = np.clip((soft - 0.5) * 4.0 + 0.5, 0.0, 1.0)
    return result


def _ring(
    c: Canvas, centres: Float, radius: Any, stretch: Any, angle: Any, *, step_um: float
) -> tuple[Float, Float]:
    """Places along the borders of ellipses and the direction towards their middle."""
    places, turns = [], []
    for centre, r, s, a in zip(centres, radius, stretch, angle, strict=True):
        count = max(6, int(np.pi * r * (1 + s) / step_um))
        t = (np.arange(count) + c.rng.uniform(-0.25, 0.25, count)) * (2 * np.pi / count)
        x, y = s * np.cos(t), np.sin(t)
        depth = r + c.rng.normal(0, 1.2, count)
        at = np.stack([x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)], axis=1)
        places.append(centre + at * depth[:, None])
        turns.append(np.arctan2(at[:, 1], at[:, 0]))
    return np.concatenate(places).astype(np.float32), np.concatenate(turns).astype(np.float32)
