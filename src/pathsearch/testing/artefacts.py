"""What is on slides besides tissue: ink, edges, bubbles, dirt, black borders, blur.

Each is a pure function of the position. All lengths are µm from the top-left corner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
Point = tuple[float, float]

#: Optical density of felt pens for red, green and blue.
INKS: dict[str, tuple[float, float, float]] = {
    "blue": (1.25, 0.75, 0.18),
    "green": (1.10, 0.30, 0.70),
    "black": (1.25, 1.22, 1.15),
    "red": (0.10, 1.05, 0.85),
}


class Artefact(Protocol):
    """Something that lies on the slide."""

    @property
    def box(self) -> Box:
        """Left, top, right, bottom of the part that it changes, µm."""
        ...

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """Draw over a part of the slide.

        Parameters
        ----------
        rgb : float32 array, shape (h, w, 3), 0..255
        x, y : float32 arrays, shapes (w,) and (h,)
            µm of the pixels' centres.
        """
        ...

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """Where no tissue can be seen through it, bool (h, w)."""
        ...


@dataclass(frozen=True)
class Pen:
    """A stroke of a felt pen along a line of points."""

    points: tuple[Point, ...]
    width: float
    colour: str = "blue"

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        at = np.asarray(self.points)
        low, high = at.min(axis=0) - self.width, at.max(axis=0) + self.width
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """Ink dims the light by its colour; the rim is darker, the felt leaves streaks."""
        distance = self._distance(x, y)
        if float(distance.min()) > self.width:
            return rgb
        soft = 0.04 * self.width
        cover = _step((self.width / 2 - distance) / soft)
        rim = np.exp(-(((self.width / 2 - distance) / (0.09 * self.width)) ** 2))
        streaks = 0.12 * np.sin(distance / self.width * 21.0) + 0.08 * np.sin(
            x[None, :] / 61.0 + 1.7 * np.sin(y[:, None] / 83.0)
        )
        density = cover * (0.72 + 0.30 * rim + streaks)
        ink = np.asarray(INKS[self.colour], np.float32)
        result: Float = rgb * 10.0 ** -(density[..., None] * ink)
        return result

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """Under the stroke."""
        hidden: npt.NDArray[np.bool_] = self._distance(x, y) < self.width / 2
        return hidden

    def _distance(self, x: Float, y: Float) -> Float:
        """µm to the line; at least a width where it is farther than that."""
        best = np.full((len(y), len(x)), 2 * self.width, np.float32)
        left, right, top, bottom = x[0], x[-1], y[0], y[-1]
        for a, b in pairwise(self.points):
            if (
                max(a[0], b[0]) + self.width > left
                and min(a[0], b[0]) - self.width < right
                and max(a[1], b[1]) + self.width > top
                and min(a[1], b[1]) - self.width < bottom
            ):
                np.minimum(best, _to_segment(x, y, a, b), out=best)
        return best


@dataclass(frozen=True)
class CoverslipEdge:
    """The rim of the cover glass: a thin dark line with a bright side, across the slide."""

    start: Point
    end: Point
    width: float = 22.0

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        return _around((self.start, self.end), 4 * self.width)

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """Dark where the glass ends, bright beside it; grey, so that it has no stain."""
        distance = _to_segment(x, y, self.start, self.end)
        dark = 0.62 * np.exp(-((distance / (0.5 * self.width)) ** 2))
        second = 0.22 * np.exp(-(((distance - 1.6 * self.width) / (0.3 * self.width)) ** 2))
        result: Float = rgb * (1.0 - dark - second)[..., None]
        return result

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """Nothing."""
        return np.zeros((len(y), len(x)), np.bool_)


@dataclass(frozen=True)
class Bubble:
    """Air under the cover glass: a ring with a dark wall and a bright inside line."""

    centre: Point
    radius: float

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        return _around((self.centre,), 1.2 * self.radius)

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """The wall refracts light away; what lies inside stays as it is, a little greyer."""
        r = self._radius(x, y)
        wall = max(0.05 * self.radius, 7.0)
        dark = 0.68 * np.exp(-(((r - self.radius) / wall) ** 2))
        inner = 0.25 * np.exp(-(((r - self.radius + 2.6 * wall) / (0.6 * wall)) ** 2))
        inside = _step((self.radius - r) / wall)
        result: Float = rgb * (1.0 - dark - inner - 0.035 * inside)[..., None]
        return result

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """Nothing."""
        return np.zeros((len(y), len(x)), np.bool_)

    def _radius(self, x: Float, y: Float) -> Float:
        dx, dy = x[None, :] - self.centre[0], y[:, None] - self.centre[1]
        angle = np.arctan2(dy, dx)
        uneven = 1.0 + 0.03 * np.sin(2 * angle) + 0.02 * np.cos(3 * angle)
        radius: Float = (np.hypot(dx, dy) * uneven).astype(np.float32)
        return radius


@dataclass(frozen=True)
class Dirt:
    """A grey fleck on top of the glass, out of focus."""

    centre: Point
    radius: float
    density: float = 0.35

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        return _around((self.centre,), 2.2 * self.radius)

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """A soft grey shade."""
        dx, dy = x[None, :] - self.centre[0], y[:, None] - self.centre[1]
        near = (dx**2 + 1.6 * dy**2) / self.radius**2
        shade: Float = np.asarray(self.density * np.exp(-(near**2)), np.float32)
        result: Float = rgb * np.float32(10.0) ** -shade[..., None]
        return result

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """Nothing."""
        return np.zeros((len(y), len(x)), np.bool_)


@dataclass(frozen=True)
class Smear:
    """A thin film of eosin that was not rinsed off: pink, even, without structure."""

    centre: Point
    radii: Point
    density: float = 0.07

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        (x, y), (rx, ry) = self.centre, self.radii
        return x - 1.7 * rx, y - 1.7 * ry, x + 1.7 * rx, y + 1.7 * ry

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """Pink that fades out."""
        u = (x[None, :] - self.centre[0]) / self.radii[0]
        v = (y[:, None] - self.centre[1]) / self.radii[1]
        u = u + 0.15 * np.sin(3.1 * v) + 0.05 * np.sin(7.7 * v)
        film = self.density * np.exp(-((u**2 + v**2) ** 2)) * (1 + 0.25 * np.sin(5 * u + 2 * v))
        eosin = np.asarray((0.25, 1.0, 0.62), np.float32)
        result: Float = rgb * 10.0 ** -(film[..., None] * eosin)
        return result

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """Nothing."""
        return np.zeros((len(y), len(x)), np.bool_)


@dataclass(frozen=True)
class BlackBorder:
    """What a scanner stores where it did not scan: black."""

    area: Box

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        return self.area

    def apply(self, rgb: Float, x: Float, y: Float) -> Float:
        """Exactly 0."""
        result: Float = np.where(self.hides(x, y)[..., None], np.float32(0), rgb)
        return result

    def hides(self, x: Float, y: Float) -> npt.NDArray[np.bool_]:
        """All of it."""
        left, top, right, bottom = self.area
        across = (x >= left) & (x < right)
        down = (y >= top) & (y < bottom)
        hidden: npt.NDArray[np.bool_] = down[:, None] & across[None, :]
        return hidden


@dataclass(frozen=True)
class OutOfFocus:
    """An ellipse that the scanner did not focus on; it blurs what the slide drew before."""

    centre: Point
    radii: Point
    sigma: float = 6.0

    @property
    def box(self) -> Box:
        """What it changes, µm."""
        (x, y), (rx, ry) = self.centre, self.radii
        return x - rx, y - ry, x + rx, y + ry

    def weight(self, x: Float, y: Float) -> Float:
        """Share of the blurred picture, (h, w), 0..1."""
        u = (x[None, :] - self.centre[0]) / self.radii[0]
        v = (y[:, None] - self.centre[1]) / self.radii[1]
        return _step((1.0 - np.hypot(u, v)) / 0.2)


#: The artefacts that `made_artefacts` places, by name.
NAMES = ("pen", "edge", "bubble", "dirt", "smear", "black", "blur")


def made_artefacts(
    names: tuple[str, ...], side_um: tuple[float, float], seed: int
) -> tuple[Artefact | OutOfFocus, ...]:
    """Artefacts of these kinds, placed by a seed; a name may be given several times.

    Raises
    ------
    ValueError
        A name is not one of `NAMES`.
    """
    rng = np.random.default_rng([seed, 0xA27E])
    placer = _Placer(side_um, rng)
    makers: dict[str, Callable[[], Artefact | OutOfFocus]] = {
        "pen": placer.pen,
        "edge": placer.edge,
        "bubble": placer.bubble,
        "dirt": placer.dirt,
        "smear": placer.smear,
        "black": placer.black,
        "blur": placer.blur,
    }
    unknown = [name for name in names if name not in makers]
    if unknown:
        raise ValueError(f"no artefact is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    # Blur first: ink and dirt lie on top of the glass.
    order = sorted(names, key=lambda name: name != "blur")
    return tuple(makers[name]() for name in order)


@dataclass
class _Placer:
    side_um: tuple[float, float]
    rng: np.random.Generator
    inks: list[str] = field(default_factory=list)

    def _at(self, margin: float = 0.1) -> Point:
        width, height = self.side_um
        u, v = self.rng.uniform(margin, 1 - margin, 2).tolist()
        return u * width, v * height

    def _near_edge(self) -> Point:
        """A place near the rim of the slide, where the glass usually is bare."""
        width, height = self.side_um
        along = float(self.rng.uniform(0.1, 0.9))
        near = float(self.rng.choice([0.05, 0.95]))
        if self.rng.random() < 0.5:
            return along * width, near * height
        return near * width, along * height

    def pen(self) -> Artefact:
        if not self.inks:
            self.inks = [str(name) for name in self.rng.permutation(list(INKS))]
        small = min(self.side_um)
        x, y = self._near_edge()
        # The hand starts towards the middle and bends its way more and more.
        inward = np.arctan2(self.side_um[1] / 2 - y, self.side_um[0] / 2 - x)
        bends = np.cumsum(self.rng.normal(0, 0.035, 40)) + self.rng.normal(0, 0.03)
        turn = inward + self.rng.uniform(-0.9, 0.9) + np.cumsum(bends)
        steps = 0.02 * small * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        path = np.cumsum(np.concatenate([[[x, y]], steps]), axis=0)
        width = float(min(0.045 * small, 900.0))
        return Pen(tuple((float(a), float(b)) for a, b in path), width, self.inks.pop())

    def edge(self) -> Artefact:
        width, height = self.side_um
        place, tilt = float(self.rng.choice([0.035, 0.965])), float(self.rng.uniform(-0.01, 0.01))
        if self.rng.random() < 0.5:
            return CoverslipEdge((place * width, 0), ((place + tilt) * width, height))
        return CoverslipEdge((0, place * height), (width, (place + tilt) * height))

    def bubble(self) -> Artefact:
        return Bubble(self._near_edge(), float(self.rng.uniform(0.03, 0.06)) * min(self.side_um))

    def dirt(self) -> Artefact:
        radius = min(float(self.rng.uniform(0.006, 0.02)) * min(self.side_um), 150.0)
        return Dirt(self._near_edge(), radius)

    def smear(self) -> Artefact:
        radii = self.rng.uniform(0.05, 0.14, 2) * min(self.side_um)
        return Smear(self._near_edge(), (float(radii[0]), float(radii[1])))

    def black(self) -> Artefact:
        width, height = self.side_um
        part = float(self.rng.uniform(0.02, 0.05))
        boxes: tuple[Box, ...] = (
            (0, 0, part * width, height),
            ((1 - part) * width, 0, width, height),
            (0, 0, width, part * height),
            (0, (1 - part) * height, width, height),
        )
        return BlackBorder(boxes[int(self.rng.integers(4))])

    def blur(self) -> OutOfFocus:
        radii = self.rng.uniform(0.12, 0.22, 2) * min(self.side_um)
        return OutOfFocus(self._at(0.25), (float(radii[0]), float(radii[1])))


def _around(points: tuple[Point, ...], reach: float) -> Box:
    at = np.asarray(points)
    low, high = at.min(axis=0) - reach, at.max(axis=0) + reach
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _to_segment(x: Float, y: Float, a: Point, b: Point) -> Float:
    """µm from each pixel to the segment from `a` to `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    px, py = x[None, :] - a[0], y[:, None] - a[1]
    t = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    distance: Float = np.hypot(px - t * dx, py - t * dy)
    return distance


def _step(value: Float) -> Float:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(value, 0, 1)
    smooth: Float = t * t * (3 - 2 * t)
    return smooth
