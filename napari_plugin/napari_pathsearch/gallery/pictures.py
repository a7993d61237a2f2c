"""Pictures of places in slides, read away from the GUI thread; no Qt.

Slides are kept open while they are looked at, a few at a time. Where a slide's file is not at
hand, the library's own small picture of it stands in.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import PathsearchError, SlideError
from pathsearch.nouns import Slide

if TYPE_CHECKING:
    from pathsearch.library import Library

Box = tuple[float, float, float, float]

_KEPT_OPEN = 8
#: A stand-in is so coarse that a patch would be a few pixels: it shows this many times more.
_STAND_IN_FACTOR = 6.0


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle of a slide, level-0 pixels; `slide` is an id, or the path of a file."""

    slide: str
    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Level-0 x, y."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of a place.

    Attributes
    ----------
    pixels : uint8 array, shape (h, w, 3)
    box : tuple of float
        x, y, width, height of what it shows, level-0 pixels.
    stand_in : bool
        True where it was cut from the library's small picture of the slide.
    """

    pixels: npt.NDArray[np.uint8]
    box: Box
    stand_in: bool = False


class Pictures:
    """Reads places of a library's slides, and of files outside it.

    Safe to use from several threads. `close` waits for no one: a slide that is being read is
    given back when that read ends.

    Parameters
    ----------
    library : Library
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Slide] = OrderedDict()
        self._users: dict[str, int] = {}
        self._small: OrderedDict[str, npt.NDArray[np.uint8]] = OrderedDict()
        self._closed = False

    def of(self, place: Place, side: int) -> Shot:
        """A square picture around a place.

        Parameters
        ----------
        place : Place
        side : int
            Longest side wanted, pixels; the answer is smaller where the slide has no more.

        Raises
        ------
        SlideError
            The slide cannot be read, and the library has no small picture of it.
        """
        window = max(place.width, place.height)
        x, y = (c - window / 2 for c in place.centre)
        try:
            return self._read(place.slide, (x, y, window, window), side)
        except SlideError:
            wide = window * _STAND_IN_FACTOR
            x, y = (c - wide / 2 for c in place.centre)
            shot = self._stand_in(place.slide, (x, y, wide, wide))
            if shot is None:
                raise
            return shot

    def view(self, name: str, box: Box, longest: int) -> Shot:
        """What a box of a slide shows.

        Parameters
        ----------
        name : str
            A slide's id, or the path of a file.
        box : tuple of float
            x, y, width, height, level-0 pixels.
        longest : int
            Longer side of the answer, pixels; less where the slide has no more.

        Raises
        ------
        SlideError
            As `of`.
        """
        try:
            return self._read(name, box, longest)
        except SlideError:
            shot = self._stand_in(name, box)
            if shot is None:
                raise
            return shot

    def _read(self, name: str, box: Box, longest: int) -> Shot:
        x, y, width, height = box
        with self.opened(name) as slide:
            mpp = max(max(width, height) * slide.mpp / longest, slide.mpp)
            columns, rows = (max(1, round(side * slide.mpp / mpp)) for side in (width, height))
            return Shot(slide.read(x, y, columns, rows, mpp), box)

    @contextmanager
    def opened(self, name: str) -> Iterator[Slide]:
        """The open slide of an id or a path; given back when no one has used it lately."""
        slide = self._take(name)
        try:
            yield slide
        finally:
            self._give_back(name)

    def close(self) -> None:
        """Give all files back; a later read raises SlideError."""
        with self._lock:
            self._closed = True
            idle = [name for name in self._open if not self._users.get(name)]
            for name in idle:
                self._open.pop(name).close()
            self._small.clear()

    def _take(self, name: str) -> Slide:
        with self._lock:
            if name not in self._open:
                if self._closed:
                    raise SlideError(f"{name}: the library was closed.", slide_id=name)
                self._open[name] = self._opened_now(name)
            self._open.move_to_end(name)
            self._users[name] = self._users.get(name, 0) + 1
            return self._open[name]

    def _give_back(self, name: str) -> None:
        with self._lock:
            self._users[name] -= 1
            spare = len(self._open) - (0 if self._closed else _KEPT_OPEN)
            for old in [n for n in self._open if not self._users.get(n)][: max(spare, 0)]:
                self._open.pop(old).close()
                self._users.pop(old, None)

    def _opened_now(self, name: str) -> Slide:
        from pathsearch.search.examples import find_record
        from pathsearch.slides import open_slide

        record = find_record(self._library, name)
        if record is None:
            return open_slide(name)
        return open_slide(self._library.locate(record), mpp=record.mpp)

    def _stand_in(self, name: str, box: Box) -> Shot | None:
        small = self._small_picture(name)
        if small is None:
            return None
        record = self._library.slide(name)
        left, top, width, height = record.bounds or (0, 0, record.width, record.height)
        rows, columns = small.shape[:2]
        scale_x, scale_y = columns / max(width, 1), rows / max(height, 1)
        x, y, wide, high = box
        x0, x1 = (round((edge - left) * scale_x) for edge in (x, x + wide))
        y0, y1 = (round((edge - top) * scale_y) for edge in (y, y + high))
        cut = _cut(small, (y0, max(y1, y0 + 1)), (x0, max(x1, x0 + 1)))
        return Shot(cut, box, stand_in=True)

    def _small_picture(self, slide_id: str) -> npt.NDArray[np.uint8] | None:
        from PIL import Image

        with self._lock:
            if slide_id in self._small:
                return self._small[slide_id]
        try:
            data = self._library.thumbnail(slide_id)
            self._library.slide(slide_id)
        except (OSError, PathsearchError):
            return None
        if data is None:
            return None
        try:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except OSError:  # a damaged picture is no picture
            return None
        with self._lock:
            self._small[slide_id] = pixels
            while len(self._small) > _KEPT_OPEN:
                self._small.popitem(last=False)
        return pixels


def _cut(
    pixels: npt.NDArray[np.uint8], rows: tuple[int, int], columns: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """A part of a picture that may reach outside it; white there."""
    out = np.full((rows[1] - rows[0], columns[1] - columns[0], 3), 255, np.uint8)
    top, bottom = max(rows[0], 0), min(rows[1], pixels.shape[0])
    left, right = max(columns[0], 0), min(columns[1], pixels.shape[1])
    if top < bottom and left < right:
        out[top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]] = pixels[
            top:bottom, left:right
        ]
    return out
