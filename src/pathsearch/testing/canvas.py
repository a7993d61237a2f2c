"""A square of tissue that repeats without a seam: two stains, drawn object by object."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

#: Stored value of a stain concentration of 1.
UNIT = 110.0
#: Corners of the polygon that stands for a nucleus.
CORNERS = 14


class Canvas:
    """Concentrations of haematoxylin and eosin on a torus.

    Parameters
    ----------
    n : int
        Side, pixels.
    mpp : float
        µm per pixel; everything is drawn in µm.
    rng : numpy.random.Generator
    """

    def __init__(self, n: int, mpp: float, rng: np.random.Generator) -> None:
        self.n = n
        self.mpp = mpp
        self.rng = rng
        self.h: Float = np.zeros((n, n), np.float32)
        self.e: Float = np.zeros((n, n), np.float32)

    @property
    def side(self) -> float:
        """Side in µm."""
        return self.n * self.mpp

    def noise(self, across_um: float, along_um: float | None = None) -> Float:
        """Smooth periodic noise of variance 1.

        Parameters
        ----------
        across_um, along_um : float
            Its correlation lengths (standard deviations of a Gaussian) down and across,
            µm; one number for both.
        """
        from scipy import ndimage

        along_um = across_um if along_um is None else along_um
        sigma = np.array([across_um, along_um]) / self.mpp
        # Long correlations are made on fewer points: the same picture, many times faster.
        step = [_step(self.n, s) for s in sigma]
        small = self.rng.standard_normal((self.n // step[0], self.n // step[1]), np.float32)
        smooth = ndimage.gaussian_filter(small, sigma / step, mode="wrap", truncate=3.0)
        smooth = (smooth - smooth.mean()) / max(float(smooth.std()), 1e-6)
        return enlarge(smooth, step[0], step[1])

    def _grain(self, across_um: float) -> Float:
        """A square of fine noise, moved and mirrored: the same one serves for all."""
        square = _fine_noise(self.n, across_um / self.mpp)
        dy, dx = self.rng.integers(0, self.n, 2).tolist()
        return np.roll(square, (dy, dx), (0, 1))[:: 1 - 2 * (dy & 1), :: 1 - 2 * (dx & 1)]

    def scatter(self, pitch_um: float, jitter: float = 0.32) -> Float:
        """Points about `pitch_um` apart, float32 (m, 2): x, y in µm."""
        rows = max(2, 2 * round(self.side / pitch_um / math.sqrt(3.0)))
        columns = max(2, round(self.side / pitch_um))
        i, j = np.mgrid[:rows, :columns]
        y = (i + 0.5) * (self.side / rows)
        x = (j + 0.25 + 0.5 * (i % 2)) * (self.side / columns)
        xy = np.stack([x.ravel(), y.ravel()], axis=1)
        xy += self.rng.uniform(-jitter, jitter, xy.shape) * pitch_um
        return (xy % self.side).astype(np.float32)

    def cells(self, centres: Float, *, bend: float = 0.0, round_by: float = 0.0) -> Float:
        """Distance of each pixel to the wall of its Voronoi cell, float32 (n, n), µm.

        Parameters
        ----------
        centres : float32 array, shape (m, 2)
            x, y of the cells, µm.
        bend : float
            How far the walls are moved by a smooth noise, µm.
        round_by : float
            How much nearer the wall is where three cells meet, µm.
        """
        from scipy.spatial import cKDTree

        step = _step(self.n, 3.0 / self.mpp, most=4)
        m = self.n // step
        at = (np.arange(m) + 0.5) * step * self.mpp
        grid = np.stack(np.meshgrid(at, at), axis=2).reshape(-1, 2)
        if bend:
            moved = [self.noise(18.0)[::step, ::step].ravel() for _ in range(2)]
            grid = (grid + bend * np.stack(moved, axis=1)) % self.side
        tree = cKDTree(centres % self.side, boxsize=np.array([self.side, self.side]))
        distance = np.asarray(tree.query(grid, k=3)[0])
        wall = (distance[:, 1] - distance[:, 0]) / 2
        if round_by:
            third = (distance[:, 2] - distance[:, 0]) / 2
            wall = np.maximum(wall - round_by * np.exp(-((third / (2.2 * round_by)) ** 2)), 0)
        return enlarge(wall.astype(np.float32).reshape(m, m), step, step)

    def draw(self, polygons: Float, values: npt.ArrayLike, onto: Any) -> None:
        """Fill polygons, float32 (m, corners, 2) in µm, on a Pillow "L" image, wrapped."""
        from PIL import ImageDraw

        pen = ImageDraw.Draw(onto)
        pixels = polygons / self.mpp
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        shades = np.broadcast_to(np.asarray(values), len(polygons))
        for polygon, (x0, y0), (x1, y1), shade in zip(
            pixels, low.tolist(), high.tolist(), shades.tolist(), strict=True
        ):
            for dx in _wraps(x0, x1, self.n):
                for dy in _wraps(y0, y1, self.n):
                    moved = polygon + np.array([dx, dy], np.float32) if dx or dy else polygon
                    pen.polygon(moved.ravel().tolist(), fill=int(shade))

    def nuclei(
        self,
        centres: Float,
        length: npt.ArrayLike,
        width: npt.ArrayLike,
        angle: npt.ArrayLike = 0.0,
        *,
        stain: float = 0.85,
        chromatin: float = 0.25,
    ) -> None:
        """Draw nuclei: rim, coarse chromatin, some with a nucleolus.

        Parameters
        ----------
        centres : float32 array, shape (m, 2)
            x, y in µm.
        length, width : float or arrays of shape (m,)
            Full axes, µm.
        angle : float or array of shape (m,)
            Of the long axis, radians.
        stain : float
            Concentration of haematoxylin.
        chromatin : float
            How coarse: 0 even, 0.5 vesicular.
        """
        from PIL import Image
        from scipy import ndimage

        if not len(centres):
            return
        shade = np.clip(self.rng.normal(150, 22, len(centres)), 90, 215)
        body = Image.new("L", (self.n, self.n), 0)
        self.draw(blobs(centres, length, width, angle, self.rng), shade, body)
        dense = np.asarray(body, np.float32) / 150.0
        dense = ndimage.gaussian_filter(dense, 0.35 / self.mpp, mode="wrap", truncate=3.0)
        inside = np.minimum(dense, 1.0)
        rim = np.clip(4.0 * inside * (1.0 - inside), 0.0, 1.0)
        grain = 1.0 + chromatin * self._grain(0.7) + 0.5 * chromatin * rim
        self.h += stain * dense * np.maximum(grain, 0.25) - self.h * inside
        self.e *= 1.0 - 0.55 * inside

    def enlarged(self, times: int) -> Canvas:
        """The same square on more and smaller pixels."""
        if times == 1:
            return self
        larger = Canvas(self.n * times, self.mpp / times, self.rng)
        larger.h, larger.e = (enlarge(plane, times, times) for plane in (self.h, self.e))
        return larger

    def finished(self, *, blur_um: float = 0.28, grain: float = 0.035) -> npt.NDArray[np.uint8]:
        """The square as uint8 (n, n, 2): haematoxylin, eosin; `UNIT` is a concentration of 1."""
        from scipy import ndimage

        out = np.empty((self.n, self.n, 2), np.uint8)
        for c, plane in enumerate((self.h, self.e)):
            soft = ndimage.gaussian_filter(plane, blur_um / self.mpp, mode="wrap", truncate=3.0)
            soft += grain * (0.2 + soft) * self._grain(0.0)
            out[..., c] = np.clip(soft * UNIT + 0.5, 0, 255)
        return out


@lru_cache(maxsize=4)
def _fine_noise(n: int, sigma_px: float) -> Float:
    """Periodic noise of variance 1, float32 (n, n)."""
    from scipy import ndimage

    square = np.random.default_rng(n).standard_normal((n, n), np.float32)
    if sigma_px:
        square = ndimage.gaussian_filter(square, sigma_px, mode="wrap", truncate=3.0)
        square /= square.std()
    return square


def blobs(
    centres: Float,
    length: npt.ArrayLike,
    width: npt.ArrayLike,
    angle: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    wobble: float = 0.07,
) -> Float:
    """Outlines of slightly irregular ellipses, float32 (m, CORNERS, 2), µm."""
    m = len(centres)
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    radius = 1.0 + wobble * rng.standard_normal((m, 1)) * np.cos(
        2 * turn + rng.uniform(0, 6, (m, 1))
    )
    radius = radius + wobble * rng.standard_normal((m, 1)) * np.cos(3 * turn)
    a = np.broadcast_to(np.asarray(length) / 2, m)[:, None] * radius * np.cos(turn)
    b = np.broadcast_to(np.asarray(width) / 2, m)[:, None] * radius * np.sin(turn)
    cos = np.cos(np.broadcast_to(np.asarray(angle), m))[:, None]
    sin = np.sin(np.broadcast_to(np.asarray(angle), m))[:, None]
    xy = np.stack([a * cos - b * sin, a * sin + b * cos], axis=2)
    return (xy + centres[:, None, :]).astype(np.float32)


def enlarge(small: Float, down: int, across: int) -> Float:
    """Linear enlargement on a torus by whole factors."""
    return _enlarge_rows(_enlarge_rows(small, down).T, across).T


def _enlarge_rows(a: Float, factor: int) -> Float:
    if factor == 1:
        return a
    at = (np.arange(len(a) * factor) + 0.5) / factor - 0.5
    low = np.floor(at).astype(np.intp)
    part = (at - low).astype(np.float32)[:, None]
    result: Float = a[low % len(a)] * (1 - part) + a[(low + 1) % len(a)] * part
    return result


def _step(n: int, sigma_px: float, most: int = 64) -> int:
    """Largest power of 2 that divides `n` and keeps at least 2 points a sigma."""
    step = 1
    while step * 2 <= min(most, sigma_px / 2) and n % (step * 2) == 0:
        step *= 2
    return step


def _wraps(low: float, high: float, n: int) -> tuple[int, ...]:
    """Shifts by whole sides that bring a span back into view."""
    return (0, *((n,) if low < 0 else ()), *((-n,) if high >= n else ()))
