"""A made-up slide as a pure function of the position: any part can be drawn by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from pathsearch.testing.artefacts import Artefact, Box, OutOfFocus, made_artefacts
from pathsearch.testing.layout import NOWHERE, Areas, Board, Patchwork
from pathsearch.testing.stain import Stain
from pathsearch.testing.tissues import GLASS, TISSUES, texture

Codes = npt.NDArray[np.uint8]
Layout = Sequence[Sequence[str]] | Sequence[str] | None

#: Names by their code in a label map.
LABELS = tuple(TISSUES)
#: Pixels between the places that decide whether a part holds one area only.
PROBE_PX = 16
#: Rows of a label map that are worked out at once.
MAP_ROWS = 256


@dataclass(frozen=True)
class SlideDrawing:
    """What a made-up slide shows, and what it is; x and y are level-0 pixels.

    Attributes
    ----------
    size : tuple of int
        Width and height, pixels.
    mpp : float
        µm per pixel.
    seed : int
        Of the places of everything.
    areas : Areas
    stain : Stain
    artefacts : tuple
    """

    size: tuple[int, int]
    mpp: float
    seed: int
    areas: Areas
    stain: Stain
    artefacts: tuple[Artefact | OutOfFocus, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The tissues that may occur, in the order of their codes."""
        held = set(self.areas.tissues) - {GLASS}
        return tuple(name for name in LABELS if name in held)

    def label_at(self, x: float, y: float) -> str:
        """What the pixel at a place is: a tissue's name, or "glass"."""
        return LABELS[int(self.codes_at(np.array([x]), np.array([y]))[0])]

    def codes_at(self, x: npt.NDArray[np.number], y: npt.NDArray[np.number]) -> Codes:
        """What the pixels at places are: uint8 positions in `LABELS`, 0 for glass."""
        return self._names()[self._area_at(x, y) + 1]

    def label_map(self, mpp: float) -> Codes:
        """The whole slide at a coarse resolution, what lies in the middle of each pixel.

        Parameters
        ----------
        mpp : float
            µm per pixel of the map.

        Returns
        -------
        uint8 array, shape (h, w)
            Positions in `LABELS`. Pixel (i, j) covers level-0 x from ``j * mpp / self.mpp``.
        """
        xs, ys = self._centres(mpp)
        codes = np.empty((len(ys), len(xs)), np.uint8)
        for top in range(0, len(ys), MAP_ROWS):
            part = np.s_[top : top + MAP_ROWS]
            x, y = np.meshgrid(xs, ys[part])
            codes[part] = self.codes_at(x, y)
        return codes

    def tissue_truth(self, mpp: float) -> npt.NDArray[np.bool_]:
        """Where tissue can be seen: not glass, not under ink, not in a black border.

        The frame is that of `label_map`. Tissue out of focus is tissue.
        """
        truth = self.label_map(mpp) > 0
        xs, ys = (axis.astype(np.float32) * np.float32(self.mpp) for axis in self._centres(mpp))
        for artefact in self.artefacts:
            if not isinstance(artefact, OutOfFocus):
                truth &= ~artefact.hides(xs, ys)
        return truth

    def patch_labels(
        self, xy: npt.NDArray[np.int64], footprint: int, *, points: int = 8
    ) -> tuple[list[str], npt.NDArray[np.float64]]:
        """The commonest label of each patch, and its share of the patch.

        Parameters
        ----------
        xy : int64 array, shape (n, 2)
            Top-left corners.
        footprint : int
            Side of the patches.
        points : int
            The share is counted on `points` x `points` places.
        """
        step = (np.arange(points) + 0.5) * footprint / points
        dx, dy = (d.ravel() for d in np.meshgrid(step, step))
        codes = self.codes_at(xy[:, :1] + dx, xy[:, 1:] + dy)
        counts = (codes[..., None] == np.arange(len(LABELS))).sum(axis=1)
        best = counts.argmax(axis=1)
        return [LABELS[k] for k in best], counts.max(axis=1) / points**2

    def pixels(self, x: int, y: int, w: int, h: int) -> npt.NDArray[np.uint8]:
        """Draw a part of the slide, uint8 (h, w, 3). It may reach outside: there is glass."""
        blurs = [a for a in self.artefacts if isinstance(a, OutOfFocus)]
        rgb: npt.NDArray[np.uint8] = self._stained(x, y, w, h)
        for blur in blurs:
            if self._touches(blur.box, x, y, w, h):
                rgb = self._blurred(rgb, blur, x, y)
        over = [
            a
            for a in self.artefacts
            if not isinstance(a, OutOfFocus) and self._touches(a.box, x, y, w, h)
        ]
        if over:
            xs, ys = self._microns(x, w), self._microns(y, h)
            drawn = rgb.astype(np.float32)
            for artefact in over:
                drawn = artefact.apply(drawn, xs, ys)
            rgb = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
        return rgb

    def prepare(self, threads: int = 1) -> None:
        """Draw the textures that the slide needs, in threads; later calls find them."""
        with ThreadPoolExecutor(max(1, threads)) as pool:
            list(pool.map(lambda name: texture(name, self.mpp), (GLASS, *self.labels)))

    def _stained(self, x: int, y: int, w: int, h: int) -> npt.NDArray[np.uint8]:
        """Tissue and glass only."""
        packed = np.ascontiguousarray(self._packed(x, y, w, h))
        return np.ascontiguousarray(packed.view(np.uint8).reshape(h, w, 4)[..., :3])

    def _packed(self, x: int, y: int, w: int, h: int) -> npt.NDArray[np.uint32]:
        """Colours, uint32 (h, w): red in the lowest byte, then green, blue."""
        only = self._only_area(x, y, w, h)
        if only is not None:
            return self._textured(only, x, y, w, h)
        area = self._area_grid(x, y, w, h)
        out = np.empty((h, w), np.uint32)
        for number in (np.flatnonzero(np.bincount(area.ravel() - NOWHERE)) + NOWHERE).tolist():
            mask = area == number
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            r, c = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            drawn = self._textured(
                number, x + c.start, y + r.start, c.stop - c.start, r.stop - r.start
            )
            np.copyto(out[r, c], drawn, where=mask[r, c])
        return out

    def _only_area(self, x: int, y: int, w: int, h: int) -> int | None:
        """The area that fills a part, or None if there may be several."""
        xs = np.arange(x, x + w + PROBE_PX, PROBE_PX) * np.float64(self.mpp)
        ys = np.arange(y, y + h + PROBE_PX, PROBE_PX) * np.float64(self.mpp)
        area, border = self.areas.on_grid(xs, ys)
        first = int(area[0, 0])
        # Half the diagonal of a cell of the probe, and of a block of `_area_at`.
        reach = 0.75 * PROBE_PX * self.mpp + self._block() * self.mpp
        return first if (area == first).all() and border.min() > reach else None

    def _textured(self, area: int, x: int, y: int, w: int, h: int) -> npt.NDArray[np.uint32]:
        """The texture of an area: turned, mirrored and moved so that no two areas are alike."""
        name = GLASS if area == NOWHERE else self.areas.tissues[area]
        square = texture(name, self.mpp)
        n = len(square)
        rng = np.random.default_rng([self.seed, area + 1])
        dx, dy, turn = (int(v) for v in rng.integers(0, [n, n, 8]))
        across = (np.arange(x, x + w) * (1 if turn & 1 else -1) + dx) % n
        down = (np.arange(y, y + h) * (1 if turn & 2 else -1) + dy) % n
        cut = square[np.ix_(across, down)].T if turn & 4 else square[np.ix_(down, across)]
        return self.stain.table(name)[cut]

    def _area_at(
        self, x: npt.NDArray[np.number], y: npt.NDArray[np.number]
    ) -> npt.NDArray[np.int64]:
        """The number of the area of each pixel, the same all over a block."""
        block = self._block()
        side = block * self.mpp
        return self.areas.at(
            (np.floor_divide(x, block) + 0.5) * side, (np.floor_divide(y, block) + 0.5) * side
        )

    def _area_grid(self, x: int, y: int, w: int, h: int) -> npt.NDArray[np.int64]:
        """The same for all pixels of a rectangle."""
        block = self._block()
        left, top = x // block, y // block
        columns = np.arange(left, (x + w - 1) // block + 1)
        rows = np.arange(top, (y + h - 1) // block + 1)
        side = np.float64(block * self.mpp)
        area, _ = self.areas.on_grid((columns + 0.5) * side, (rows + 0.5) * side)
        whole = np.repeat(np.repeat(area, block, axis=0), block, axis=1)
        dx, dy = x - left * block, y - top * block
        return whole[dy : dy + h, dx : dx + w]

    def _block(self) -> int:
        """Pixels that share one answer: no border is drawn finer than 1 µm."""
        return max(1, round(1.0 / self.mpp))

    def _blurred(
        self, rgb: npt.NDArray[np.uint8], blur: OutOfFocus, x: int, y: int
    ) -> npt.NDArray[np.uint8]:
        from scipy import ndimage

        sigma = blur.sigma / self.mpp
        margin = math.ceil(3 * sigma) + 1
        h, w = rgb.shape[:2]
        wide = self._stained(x - margin, y - margin, w + 2 * margin, h + 2 * margin)
        soft = ndimage.gaussian_filter(
            wide.astype(np.float32), (sigma, sigma, 0), truncate=3.0, mode="nearest"
        )[margin:-margin, margin:-margin]
        weight = blur.weight(self._microns(x, w), self._microns(y, h))[..., None]
        return np.rint(rgb * (1 - weight) + soft * weight).astype(np.uint8)

    def _microns(self, start: int, n: int) -> npt.NDArray[np.float32]:
        return ((np.arange(start, start + n) + 0.5) * self.mpp).astype(np.float32)

    def _touches(self, box: Box, x: int, y: int, w: int, h: int) -> bool:
        left, top, right, bottom = (v / self.mpp for v in box)
        return left < x + w and x < right and top < y + h and y < bottom

    def _centres(self, mpp: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Level-0 x and y of the middles of a coarse map's pixels."""
        scale = np.float64(mpp / self.mpp)
        w, h = (max(1, math.ceil(side / scale - 1e-6)) for side in self.size)
        return (np.arange(w) + 0.5) * scale, (np.arange(h) + 0.5) * scale

    def _names(self) -> Codes:
        """Codes by area number + 1."""
        return np.array([0, *(LABELS.index(name) for name in self.areas.tissues)], np.uint8)


class DrawingOptions(TypedDict, total=False):
    """What a made-up slide shows; all may be left out.

    Attributes
    ----------
    mpp : float
        µm per pixel, 0.05 to 10; 0.5.
    seed : int
        Of all places; also of the stain, where none is given; 0.
    layout : sequence of str, or of rows of str, or None
        Names of tissues: strewn as irregular areas (None: all of them). Or rows of names: a
        board of equal rectangles over the whole slide, "glass" for none.
    pieces : int
        Of tissue on the glass; 1. Not with a board.
    area_um : float
        About how wide an area of one tissue is; by default a third of the slide's shorter
        side, 300 to 1600 µm.
    stain : Stain
        By default a mild variation of H&E, by the seed.
    artefacts : sequence of str or of objects
        Names in `pathsearch.testing.artefacts.NAMES`, placed by the seed; a name may come
        several times. Or the objects of that module.
    """

    mpp: float
    seed: int
    layout: Layout
    pieces: int
    area_um: float
    stain: Stain
    artefacts: Sequence[str | Artefact | OutOfFocus]


def draw_slide(size: tuple[int, int], **options: Unpack[DrawingOptions]) -> SlideDrawing:
    """A made-up slide that is in no file; parts of it are drawn when they are asked for.

    Parameters
    ----------
    size : tuple of int
        Width and height, pixels.
    **options
        See `DrawingOptions`.

    Raises
    ------
    ValueError
        A name, a size or a resolution that there is not; the message says which.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"a slide has at least one pixel, not {width} x {height}")
    mpp = float(options.get("mpp", 0.5))
    if not 0.05 <= mpp <= 10:
        raise ValueError(f"mpp must be 0.05 to 10, not {mpp:g}")
    seed = int(options.get("seed", 0))
    side_um = (width * mpp, height * mpp)
    areas = _areas(options, side_um, seed)
    unknown = sorted(set(areas.tissues) - set(LABELS))
    if unknown:
        raise ValueError(f"no tissue is called {unknown[0]!r}; there are {', '.join(LABELS)}")
    artefacts = options.get("artefacts", ())
    named = tuple(a for a in artefacts if isinstance(a, str))
    given = tuple(a for a in artefacts if not isinstance(a, str))
    return SlideDrawing(
        (int(width), int(height)),
        mpp,
        seed,
        areas,
        options.get("stain") or Stain.varied(seed, 0.5),
        (*made_artefacts(named, side_um, seed), *given),
    )


def _areas(options: DrawingOptions, side_um: tuple[float, float], seed: int) -> Areas:
    layout = options.get("layout")
    names = list(layout) if layout is not None else [name for name in LABELS if name != GLASS]
    if not names:
        raise ValueError("a layout names at least one tissue")
    if not isinstance(names[0], str):
        return Board(side_um, [list(row) for row in names])
    usual = float(np.clip(min(side_um) / 2.9, 300.0, 1600.0))
    area_um = max(float(options.get("area_um", usual)), 50.0)
    return Patchwork(side_um, tuple(map(str, names)), seed, area_um, options.get("pieces", 1))
