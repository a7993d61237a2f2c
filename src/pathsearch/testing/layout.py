"""Which tissue lies where on a made-up slide: pure functions of the position."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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

    def at(self, x: Float, y: Float) -> Ints:
        """The area of each place; `NOWHERE` on glass."""
        ...

    def on_grid(self, xs: Float, ys: Float) -> tuple[Ints, Float]:
        """The area at each point of a grid, and how far its border is at least.

        Parameters
        ----------
        xs, ys : float64 arrays, shapes (w,) and (h,)
            Rising.

        Returns
        -------
        int64 array, shape (h, w)
            What `at` answers.
        float64 array, shape (h, w)
            µm without another area.
        """
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

    def at(self, x: Float, y: Float) -> Ints:
        """The area of each place; `NOWHERE` on glass."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        wx, wy = self._warped(x, y, _smooth)
        rows, columns = self._sites.shape[:2]
        ci, cj = self._cell(wy, rows), self._cell(wx, columns)
        nearest = np.full(wx.shape, np.inf)
        area = np.zeros(wx.shape, np.int64)
        for step in range(9):
            i, j = ci + step // 3 - 1, cj + step % 3 - 1
            distance = np.hypot(self._sites[i, j, 0] - wx, self._sites[i, j, 1] - wy)
            area = np.where(distance < nearest, i * columns + j, area)
            nearest = np.minimum(distance, nearest)
        return np.where(_depth(wx, wy, self._ellipses) > 0, area, NOWHERE)

    def on_grid(self, xs: Float, ys: Float) -> tuple[Ints, Float]:
        """The area at each point of a grid, and how far its border is; see `Areas`."""
        wx, wy = self._warped(xs[None, :], ys[:, None], _smooth_on_grid)
        depth = _depth(wx, wy, self._ellipses)
        near = self._sites_near(wx, wy)
        nearest, second = np.full(wx.shape, np.inf), np.full(wx.shape, np.inf)
        area = np.zeros(wx.shape, np.int64)
        sites = self._sites.reshape(-1, 2)
        for number in near.tolist():
            distance = np.hypot(sites[number, 0] - wx, sites[number, 1] - wy)
            closer = distance < nearest
            np.minimum(second, np.where(closer, nearest, distance), out=second)
            area[closer] = number
            np.minimum(nearest, distance, out=nearest)
        inside = depth > 0
        border = np.where(inside, np.minimum(depth, (second - nearest) / 2), -depth)
        return np.where(inside, area, NOWHERE), border / STEEPEST

    def _sites_near(self, wx: Float, wy: Float) -> Ints:
        """The areas that may be first or second at some of these places."""
        low = np.array([wx.min(), wy.min()])
        high = np.array([wx.max(), wy.max()])
        away = np.linalg.norm(self._sites.reshape(-1, 2) - (low + high) / 2, axis=1)
        reach = np.partition(away, 1)[1] + float(np.linalg.norm(high - low))
        return np.flatnonzero(away <= reach)

    def _cell(self, at: Float, count: int) -> Ints:
        """Row or column of the cell that a place is in, with a neighbour on either side."""
        return np.clip(np.floor(at / self.area_um).astype(np.int64) + 1, 1, count - 2)

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

    def _warped(self, x: Float, y: Float, smooth: _Noise) -> tuple[Float, Float]:
        """Places moved by a smooth noise, so that borders wave and outlines are ragged."""
        swing = min(self.area_um, 900.0)
        # (pitch, reach) of each octave, µm.
        octaves = ((0.60 * swing, 0.17 * swing), (150.0, 20.0), (42.0, 5.0))
        moved = [x, y]
        for k, (pitch, reach) in enumerate(octaves):
            for axis in (0, 1):
                moved[axis] = moved[axis] + reach * smooth(self._noise[2 * k + axis], x, y, pitch)
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

    def at(self, x: Float, y: Float) -> Ints:
        """The area of each place; `NOWHERE` on glass."""
        i, j = self._cell(y, 1), self._cell(x, 0)
        return self._numbers()[i, j]

    def on_grid(self, xs: Float, ys: Float) -> tuple[Ints, Float]:
        """The area at each point of a grid, and how far its border is; see `Areas`."""
        rows, columns = len(self.rows), len(self.rows[0])
        area = self.at(xs[None, :], ys[:, None])
        across = _to_whole(xs * columns / self.side_um[0]) * self.side_um[0] / columns
        down = _to_whole(ys * rows / self.side_um[1]) * self.side_um[1] / rows
        return area, np.minimum(across[None, :], down[:, None])

    def _cell(self, at: Float, axis: int) -> Ints:
        count = len(self.rows[0]) if axis == 0 else len(self.rows)
        place = np.floor(np.asarray(at, np.float64) * count / self.side_um[axis])
        return np.clip(place, 0, count - 1).astype(np.int64)

    def _numbers(self) -> Ints:
        names = np.asarray(self.rows)
        return np.where(names == "glass", NOWHERE, np.arange(names.size).reshape(names.shape))


def _depth(x: Float, y: Float, ellipses: Float) -> Float:
    """µm inside the nearest piece, about; negative outside."""
    best = np.full(np.shape(x), -np.inf)
    for cx, cy, rx, ry in ellipses:
        # A little squarer than an ellipse: sections fill their block.
        rho = (np.abs((x - cx) / rx) ** 2.5 + np.abs((y - cy) / ry) ** 2.5) ** 0.4
        best = np.maximum(best, (1.0 - rho) * min(rx, ry))
    return best


def _to_whole(at: Float) -> Float:
    """Distance to the nearest whole number."""
    distance: Float = np.abs(at - np.round(at))
    return distance


def _smooth(grid: Float, x: Float, y: Float, pitch: float) -> Float:
    """Values of a periodic grid between its points, with a continuous derivative."""
    (j0, j1, fu), (i0, i1, fv) = _between(x, pitch, len(grid)), _between(y, pitch, len(grid))
    top = grid[i0, j0] * (1 - fu) + grid[i0, j1] * fu
    low = grid[i1, j0] * (1 - fu) + grid[i1, j1] * fu
    mixed: Float = top * (1 - fv) + low * fv
    return mixed


def _smooth_on_grid(grid: Float, x: Float, y: Float, pitch: float) -> Float:
    """The same for x of shape (1, w) and y of (h, 1), an axis after the other."""
    j0, j1, fu = _between(x[0], pitch, len(grid))
    i0, i1, fv = _between(y[:, 0], pitch, len(grid))
    rows = grid[i0] * (1 - fv)[:, None] + grid[i1] * fv[:, None]
    mixed: Float = rows[:, j0] * (1 - fu) + rows[:, j1] * fu
    return mixed


def _between(at: Float, pitch: float, n: int) -> tuple[Ints, Ints, Float]:
    """The two points of a periodic grid around a place, and the weight of the second."""
    place = at / pitch
    low = np.floor(place).astype(np.int64)
    part = place - low
    return low % n, (low + 1) % n, part * part * (3 - 2 * part)


_Noise = Callable[[Float, Float, Float, float], Float]
