"""Which tissue lies where on a made-up slide: pure functions of the position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The area of bare glass.
NOWHERE = -1
#: The fields of a patchwork change by no more than this per µm.
STEEPEST = 3.5


class Areas(Protocol):
    """Where each area of one tissue lies; positions are µm from the top-left corner."""

    @property
    def tissues(self) -> tuple[str, ...]:
        """What each area holds, by its number."""
        ...

    def at(self, x: Float, y: Float) -> tuple[Ints, Float]:
        """The area of each place, `NOWHERE` on glass, and µm to its border, at least."""
        ...


@dataclass(frozen=True)
class Patchwork:
    """Irregular pieces of tissue, each a patchwork of areas with wavy borders.

    Parameters
    ----------
    side_um : tuple of float
        Width and height of the slide.
    names : tuple of str
        Tissues; each is used before one is used again, from the middle outwards.
    seed : int
    area_um : float
        About the width of an area.
    pieces : int
        Of tissue on the glass, side by side along the longer side.
    """

    side_um: tuple[float, float]
    names: tuple[str, ...]
    seed: int
    area_um: float
    pieces: int = 1
    tissues: tuple[str, ...] = field(init=False, repr=False)
    _ellipses: Float = field(init=False, repr=False)
    _sites: Float = field(init=False, repr=False)
    _noise: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 0xA4EA])
        width, height = self.side_um
        columns = math.ceil(width / self.area_um) + 3
        rows = math.ceil(height / self.area_um) + 3
        # A quarter of a cell at most: then the nearest site of any place is in its own cell
        # or in one of the eight around it.
        jitter = rng.uniform(-0.25, 0.25, (rows, columns, 2))
        j, i = np.meshgrid(np.arange(columns), np.arange(rows))
        sites = (np.stack([j, i], axis=2) - 0.5 + jitter) * self.area_um
        ellipses = self._place_pieces(rng)
        depth = _depth(sites[..., 0].ravel(), sites[..., 1].ravel(), ellipses)
        held = [""] * depth.size
        deck: list[str] = []
        for place in np.argsort(-depth, kind="stable").tolist():
            if not deck:
                deck = [self.names[k] for k in rng.permutation(len(self.names))]
            held[place] = deck.pop()
        object.__setattr__(self, "tissues", tuple(held))
        object.__setattr__(self, "_ellipses", ellipses)
        object.__setattr__(self, "_sites", sites)
        object.__setattr__(self, "_noise", rng.uniform(-1, 1, (6, 64, 64)))

    def at(self, x: Float, y: Float) -> tuple[Ints, Float]:
        """The area of each place, `NOWHERE` on glass, and µm to its border, at least."""
        wx, wy = self._warped(np.asarray(x, np.float64), np.asarray(y, np.float64))
        depth = _depth(wx, wy, self._ellipses)
        rows, columns = self._sites.shape[:2]
        ci = np.clip(np.floor(wy / self.area_um).astype(np.int64) + 1, 1, rows - 2)
        cj = np.clip(np.floor(wx / self.area_um).astype(np.int64) + 1, 1, columns - 2)
        nearest, second = np.full(wx.shape, np.inf), np.full(wx.shape, np.inf)
        area = np.zeros(wx.shape, np.int64)
        for step in range(9):
            i, j = ci + step // 3 - 1, cj + step % 3 - 1
            distance = np.hypot(self._sites[i, j, 0] - wx, self._sites[i, j, 1] - wy)
            closer = distance < nearest
            second = np.minimum(second, np.where(closer, nearest, distance))
            area = np.where(closer, i * columns + j, area)
            nearest = np.where(closer, distance, nearest)
        inside = depth > 0
        border = np.where(inside, np.minimum(depth, (second - nearest) / 2), -depth)
        return np.where(inside, area, NOWHERE), border / STEEPEST

    def _place_pieces(self, rng: np.random.Generator) -> Float:
        """Centre and radii of each piece, float64 (pieces, 4), µm."""
        width, height = self.side_um
        step, across = max(width, height) / self.pieces, min(width, height)
        along = (np.arange(self.pieces) + 0.5) * step
        radii = np.stack([np.full(self.pieces, step), np.full(self.pieces, across)], axis=1)
        radii *= 0.5 * rng.uniform(0.74, 0.84, radii.shape)
        centres = np.stack([along, np.full(self.pieces, across / 2)], axis=1)
        centres += rng.uniform(-0.04, 0.04, centres.shape) * radii
        if height > width:
            centres, radii = centres[:, ::-1], radii[:, ::-1]
        return np.concatenate([centres, radii], axis=1)

    def _warped(self, x: Float, y: Float) -> tuple[Float, Float]:
        """Places moved by a smooth noise, so that borders wave and outlines are ragged."""
        swing = min(self.area_um, 900.0)
        # (pitch, reach) of each octave, µm.
        octaves = ((0.60 * swing, 0.17 * swing), (150.0, 20.0), (42.0, 5.0))
        moved = [x, y]
        for k, (pitch, reach) in enumerate(octaves):
            for axis in (0, 1):
                moved[axis] = moved[axis] + reach * _smooth(self._noise[2 * k + axis], x, y, pitch)
        return moved[0], moved[1]


@dataclass(frozen=True)
class Board:
    """Rectangles of equal size, for tests that need to know each border.

    Parameters
    ----------
    side_um : tuple of float
        Width and height of the slide.
    rows : sequence of sequence of str
        Names from the top left; "glass" is bare.
    """

    side_um: tuple[float, float]
    rows: tuple[tuple[str, ...], ...]

    def __init__(self, side_um: tuple[float, float], rows: Sequence[Sequence[str]]) -> None:
        names = tuple(tuple(row) for row in rows)
        if not names or not names[0] or len({len(row) for row in names}) != 1:
            raise ValueError("a board needs rows of one length, with at least one name in each")
        object.__setattr__(self, "side_um", side_um)
        object.__setattr__(self, "rows", names)

    @property
    def tissues(self) -> tuple[str, ...]:
        """What each area holds, by its number."""
        return tuple(name for row in self.rows for name in row)

    def at(self, x: Float, y: Float) -> tuple[Ints, Float]:
        """The area of each place, `NOWHERE` on glass, and µm to its border, at least."""
        rows, columns = len(self.rows), len(self.rows[0])
        u = np.asarray(x, np.float64) * columns / self.side_um[0]
        v = np.asarray(y, np.float64) * rows / self.side_um[1]
        j = np.clip(np.floor(u), 0, columns - 1).astype(np.int64)
        i = np.clip(np.floor(v), 0, rows - 1).astype(np.int64)
        area = i * columns + j
        bare = np.array([name == "glass" for name in self.tissues])
        across = np.minimum(np.abs(u - j), np.abs(j + 1 - u)) * self.side_um[0] / columns
        down = np.minimum(np.abs(v - i), np.abs(i + 1 - v)) * self.side_um[1] / rows
        return np.where(bare[area], NOWHERE, area), np.minimum(across, down)


def _depth(x: Float, y: Float, ellipses: Float) -> Float:
    """µm inside the nearest piece, about; negative outside."""
    best = np.full(np.shape(x), -np.inf)
    for cx, cy, rx, ry in ellipses:
        # A little squarer than an ellipse: sections fill their block.
        rho = (np.abs((x - cx) / rx) ** 2.5 + np.abs((y - cy) / ry) ** 2.5) ** 0.4
        best = np.maximum(best, (1.0 - rho) * min(rx, ry))
    return best


def _smooth(grid: Float, x: Float, y: Float, pitch: float) -> Float:
    """Values of a periodic grid between its points, with a continuous derivative."""
    n = len(grid)
    u, v = x / pitch, y / pitch
    j, i = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    fu, fv = u - j, v - i
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    j0, j1, i0, i1 = j % n, (j + 1) % n, i % n, (i + 1) % n
    top = grid[i0, j0] * (1 - fu) + grid[i0, j1] * fu
    low = grid[i1, j0] * (1 - fu) + grid[i1, j1] * fu
    mixed: Float = top * (1 - fv) + low * fv
    return mixed
