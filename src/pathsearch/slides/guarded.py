"""Slides of libraries that know only their own image: clipping, locking, typed errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from pathsearch.errors import ReadFailedError
from pathsearch.slides.pyramid import PyramidSlide, SlideFacts
from pathsearch.slides.resample import Pixels

#: level, x, y, width, height in the level's own pixels, wholly inside it, to RGB pixels.
RegionReader = Callable[[int, int, int, int, int], Pixels]


class GuardedSlide(PyramidSlide):
    """A slide over a function that reads inside a level.

    Parameters
    ----------
    facts : SlideFacts
    read_inside : callable
        Called by one thread at a time. Any exception becomes a ReadFailedError.
    close : callable
        Gives the file back.
    """

    def __init__(
        self, facts: SlideFacts, read_inside: RegionReader, close: Callable[[], Any]
    ) -> None:
        super().__init__(facts)
        self._read_inside = read_inside
        self._close = close
        self._one_at_a_time = threading.Lock()

    def _stored(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        stored = self.levels[level]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, stored.width), min(y + h, stored.height)
        out = np.empty((h, w, 3), np.uint8)
        out[:] = self._facts.background
        if right <= left or bottom <= top:
            return out
        with self._one_at_a_time:
            self.check_open()
            try:
                part = self._read_inside(level, left, top, right - left, bottom - top)
            except Exception as error:  # noqa: BLE001  every library has errors of its own
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ReadFailedError(
                    f"{self.path}: pixels of level {level} at {left}, {top} cannot be read "
                    f"({reason}).",
                    path=self.path,
                ) from None
        out[top - y : bottom - y, left - x : right - x] = part
        return out

    def close(self) -> None:
        """Give the file back, once no read is under way."""
        with self._one_at_a_time:
            if not self._closed:
                super().close()
                self._close()
